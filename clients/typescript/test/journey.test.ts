/** A student and a writer meet: signing up, topping up, posting and claiming, over HTTP against a server with demo accounts. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";

import { createSoko, ok, Refusal, type Soko } from "../src/client.ts";

const baseUrl = process.env["SOKO_URL"] ?? "http://127.0.0.1:8000";
const run = randomBytes(4).toString("hex");
const PAID_WITHIN_MS = 30_000;

async function signUp(name: string, role: "STUDENT" | "WRITER"): Promise<Soko> {
  const password = `Tall-trees-${run}`;
  const username = `${name}.${run}`;
  const nobody = createSoko({ baseUrl });
  await ok(
    nobody.POST("/api/auth/register", { body: { username, email: `${username}@demo.example`, password, role } }),
  );
  return signIn(username, password);
}

async function signIn(username: string, password: string): Promise<Soko> {
  const { access } = await ok(createSoko({ baseUrl }).POST("/api/auth/login", { body: { username, password } }));
  return createSoko({ baseUrl, token: () => access });
}

/** Wait for the simulated payer, who takes two seconds. */
async function paid(payer: Soko, reference: string): Promise<void> {
  const deadline = Date.now() + PAID_WITHIN_MS;
  while (Date.now() < deadline) {
    const state = await ok(payer.GET("/api/transactions/status/{reference}", { params: { path: { reference } } }));
    assert.notEqual(state.status, "FAILED");
    if (state.status === "SUCCESS" && state.processed) return;
    await wait(200);
  }
  assert.fail(`the payment ${reference} was not settled`);
}

const phone = (): string => `0712${String(Math.floor(Math.random() * 1e6)).padStart(6, "0")}`;

test("a writer signs up, pays a plan and claims what a student topped up for", async () => {
  const student = await signUp("amina", "STUDENT");
  const writer = await signUp("wanjiru", "WRITER");
  const admin = await signIn("demo_admin", "Tall-trees-7");

  const topUp = await ok(student.POST("/api/wallet/topup", { body: { amount: "2000.00", phone: phone() } }));
  await paid(student, topUp.reference);
  assert.equal((await ok(student.GET("/api/wallet"))).balance, "2000.00");

  const task = await ok(
    student.POST("/api/assignments", {
      body: {
        title: "Essay on tides",
        description: "Nine hundred words on spring and neap tides.",
        subject: "Geography",
        budget: { amount: "1500.00", currency: "KES" },
      },
    }),
  );
  const path = { task_id: task.id };
  await ok(admin.POST("/api/admin/assignments/{task_id}/approve", { params: { path }, body: {} }));

  await assert.rejects(
    ok(writer.POST("/api/tasks/{task_id}/claim", { params: { path } })),
    (error: unknown) => error instanceof Refusal && error.code === "assignments.subscription_required",
  );
  const plan = await ok(writer.POST("/api/subscriptions/pay", { body: { plan: "P2", phone: phone() } }));
  await paid(writer, plan.reference);

  const claim = await ok(writer.POST("/api/tasks/{task_id}/claim", { params: { path } }));
  assert.equal(claim.quota.daily_count, 1);
});
