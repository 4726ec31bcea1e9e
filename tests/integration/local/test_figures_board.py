"""Where processes leave their figures for each other."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PosixPath

from infrastructure.local.figures_board import FiguresBoard

Kind = list[tuple[str, int]]

HOLDS_A_PLACE = """
import sys
from pathlib import Path
from infrastructure.local.figures_board import FiguresBoard
board = FiguresBoard(Path(sys.argv[1]), list)
print(board.share(lambda: [("of a neighbour", 7)]), board.own_name, flush=True)
sys.stdin.read()
"""


def test_a_process_alone_leaves_nothing(tmp_path: Path) -> None:
    board = FiguresBoard(tmp_path / "run", Kind)
    assert not board.share(lambda: [("mine", 1)])
    assert (board.own_name, board.others()) == ("0", [])
    assert list((tmp_path / "run").glob("*.figures")) == []


def test_neighbours_see_each_other_until_they_die_however_they_do(tmp_path: Path) -> None:
    board = FiguresBoard(tmp_path, Kind)
    assert board.own_name == "0"
    command = [sys.executable, "-c", HOLDS_A_PLACE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="src") as neighbour:
        try:
            assert neighbour.stdout is not None
            assert neighbour.stdout.readline() == b"True 1\n"
            assert board.others() == [("1", [("of a neighbour", 7)])]
            assert board.share(lambda: [("mine", 1)])
        finally:
            neighbour.kill()
            neighbour.wait()
    assert board.others() == []  # what it left is still there, and is not shown
    assert (tmp_path / "1.figures").exists()
    again = FiguresBoard(tmp_path, Kind)
    assert again.own_name == "1"
    assert board.others() == []  # it has left nothing yet, and what the dead one left is gone
    assert again.others() == [("0", [("mine", 1)])]
    board.leave()
    assert again.others() == []


def test_two_threads_that_ask_first_take_one_place(tmp_path: Path) -> None:
    both_there = threading.Barrier(2)

    class MeetingPlace(PosixPath):
        def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
            with suppress(threading.BrokenBarrierError):  # nobody else gets this far
                both_there.wait(timeout=0.2)
            super().mkdir(mode, parents, exist_ok)

    board = FiguresBoard(MeetingPlace(tmp_path), Kind)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda _: board.own_name, range(2))) == ["0", "0"]
    assert [path.name for path in tmp_path.glob("*.lock")] == ["0.lock"]
