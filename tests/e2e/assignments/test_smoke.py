from tests.e2e.market import Market


async def test_a_task_goes_from_post_to_payment(market: Market) -> None:
    student, writer = await market.register("student_s", "student"), await market.register("writer_w", "writer")
    admin = await market.register("admin_a", "admin")
    await market.top_up(student, 2000)
    posted = await market.send_form(
        student,
        "/api/assignments",
        {"title": "Essay", "description": "900 words", "budget": "1500.00"},
        ("files", "brief.pdf", b"%PDF-1.4 hello"),
    )
    assert posted.status_code == 201, posted.text
    task = posted.json()["id"]
    print(posted.json())
    for path in ("/api/assignments/my", "/api/assignments", f"/api/assignments/{task}"):
        assert (await market.get(student, path)).status_code == 200
    approved = await market.post(admin, f"/api/admin/assignments/{task}/approve", {"budget": {"amount": "1400.00"}})
    assert approved.status_code == 200, approved.text
    again = await market.post(admin, f"/api/admin/assignments/{task}/approve")
    assert again.status_code == 200, again.text
    assert (await market.get(writer, "/api/tasks/available")).json()["results"][0]["id"] == task
    await market.buy_plan(writer)
    status = await market.get(writer, "/api/subscriptions/status")
    print(status.json())
    claimed = await market.post(writer, f"/api/tasks/{task}/claim")
    assert claimed.status_code == 200, claimed.text
    print(claimed.json())
    sent = await market.send_form(
        writer, "/api/submissions", {"assignment": task, "notes": "first"}, ("file", "a.docx", b"work")
    )
    assert sent.status_code == 201, sent.text
    print(sent.json())
    for path in ("/api/submissions", f"/api/submissions/{sent.json()['id']}", "/api/tasks/mine"):
        assert (await market.get(writer, path)).status_code == 200
    refused = await market.post(admin, f"/api/admin/submissions/{sent.json()['id']}/reject", {"reason": "no"})
    assert refused.status_code == 200, refused.text
    sent = await market.send_form(writer, "/api/submissions", {"assignment": task}, ("file", "b.docx", b"work2"))
    assert sent.status_code == 201, sent.text
    done = await market.post(admin, f"/api/admin/submissions/{task}/approve")
    assert done.status_code == 200, done.text
    print(done.json())
    done = await market.post(admin, f"/api/admin/submissions/{task}/approve")
    assert done.status_code == 200, done.text
    released = await market.post(admin, "/api/admin/payments/release", {"assignment": task})
    assert released.status_code == 200, released.text
    print(released.json())
    await market.drain()
    print(await market.told(student), await market.told(writer), await market.told(admin))
    assert (await market.get(writer, "/api/ratings/me")).json() == {"points": 5, "badge": "Bronze"}
    for job in ("expire_claims", "expire_tasks", "expire_plans", "send_reminders"):
        await market.run(f"assignments.{job}")
    assert await market.wallet(writer) == 1190_00
