"""The demo as a server: which files it serves, what it refuses, many users at once."""

import concurrent.futures
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.test_processes import free_port
from tests.data.clips import CARPHONE

pytestmark = pytest.mark.slow  # a server with Gradio, which takes seconds to import
USERS = 20
WEIGHTS = "pretrained/simvp_gsta_moving_mnist"
MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[str, int, Path]]:
    """The command ``predcnn demo``: its address, process and working directory."""
    pytest.importorskip("gradio_client", reason="gradio is not installed (extra demo)")
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    (folder / "secret.txt").write_text("not for the page")
    code = "from predcnn.app.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", f"ckpt_path={WEIGHTS}", f"port={port}"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen(command, cwd=folder, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process)
        yield address, process.pid, folder
    finally:
        process.terminate()
        process.wait(30)


def _wait(address: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end:
        assert process.poll() is None, "the demo ended"
        try:
            urllib.request.urlopen(address, timeout=20).read()
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail("the demo did not answer in time")


def client(address: str):
    from gradio_client import Client

    return Client(address, verbose=False, download_files=False)


def arguments(source: str, number: int = 0, clip: object = None) -> tuple:
    return WEIGHTS, source, number, clip, None, 10


def uploaded(path: Path) -> dict:
    from gradio_client import handle_file

    return handle_file(str(path))


def memory(pid: int, key: str) -> int:
    """MiB of ``key`` in the process's status: VmRSS now, VmHWM at most."""
    return int(re.search(rf"{key}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) // 1024


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is a local address on Linux only")
def test_it_listens_on_one_address_only(server):
    port = int(server[0].rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), timeout=20).close()
    with pytest.raises(ConnectionRefusedError):  # a server on 0.0.0.0 would answer
        socket.create_connection(("127.0.0.2", port), timeout=20)


def _get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


@pytest.mark.parametrize("route", ["gradio_api/file=", "file=", "gradio_api/file/", "static/"])
def test_no_file_outside_its_folder_is_served(server, route):
    address, _, folder = server
    secret = folder / "secret.txt"
    up = "%2e%2e/" * 12
    for path in (
        "/etc/passwd",
        secret,
        "secret.txt",
        f"{up}etc/passwd",
        f"..{secret}",
        f"//{secret}",
    ):
        status, body = _get(f"{address}/{route}{path}")
        assert status in (200, 403, 404, 405), path  # 200: a page for unknown addresses
        assert b"root:" not in body, path
        assert b"not for the page" not in body, path


@pytest.mark.parametrize("path", ["secret.txt", "/etc/hostname", "../secret.txt", str(CARPHONE)])
def test_a_path_on_the_server_is_no_upload(server, path):
    clip = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "clip.mp4"}
    data = json.dumps({"data": arguments("my clip", clip=clip)}).encode()
    request = urllib.request.Request(
        f"{server[0]}/gradio_api/call/answer", data, {"Content-Type": "application/json"}
    )
    event = json.load(urllib.request.urlopen(request, timeout=20))["event_id"]
    stream = urllib.request.urlopen(f"{server[0]}/gradio_api/call/answer/{event}", timeout=60)
    assert stream.read().decode().startswith("event: error")


def test_a_large_file_is_refused(server, tmp_path):
    httpx = pytest.importorskip("httpx", reason="gradio is not installed (extra demo)")
    large = tmp_path / "clip.mp4"
    with large.open("wb") as file:
        file.truncate(101 * MIB)
    with pytest.raises(ValueError, match="exceeds the maximum file size"):  # by the client itself
        client(server[0]).predict(*arguments("my clip", clip=uploaded(large)), api_name="/answer")
    with large.open("rb") as file:
        answer = httpx.post(f"{server[0]}/gradio_api/upload", files={"files": file}, timeout=60)
    assert answer.status_code == 413


def test_the_page_names_the_limits_and_refusals_are_one_sentence(server, tmp_path):
    from gradio_client.exceptions import AppError

    page = urllib.request.urlopen(server[0], timeout=20).read().decode()
    assert "at most 100 MiB, 1920x1080 pixels, 3,000 frames and 60 seconds" in page
    broken = tmp_path / "clip.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(AppError, match="cannot be opened, it is damaged or truncated"):
        client(server[0]).predict(*arguments("my clip", clip=uploaded(broken)), api_name="/answer")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_twenty_users_at_once_are_answered(server, capsys):
    """Every user predicts two test sequences and an uploaded video."""
    address, pid, _ = server

    def user(number: int) -> list[str]:
        own, problems = client(address), []
        clip = uploaded(CARPHONE)
        for given in (
            arguments("a test sequence", number),
            arguments("my clip", clip=clip),
            arguments("a test sequence", 99 - number),
        ):
            try:
                animation, _, curve = own.predict(*given, api_name="/answer")
                if "data:image/gif" not in animation or "data:image/png" not in curve:
                    problems.append(f"{given}: no images")
            except Exception as error:  # counted and shown
                problems.append(f"{given}: {error}")
        return problems

    client(address).predict(*arguments("my clip", clip=uploaded(CARPHONE)), api_name="/answer")
    before, started = memory(pid, "VmRSS"), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(USERS) as pool:
        failures = [line for lines in pool.map(user, range(USERS)) for line in lines]
    seconds, peak = time.monotonic() - started, memory(pid, "VmHWM")
    with capsys.disabled():
        print(
            f"\n{USERS} users, {3 * USERS} requests in {seconds:.0f} s, {len(failures)} failures, "
            f"memory {before} MiB before, {memory(pid, 'VmRSS')} MiB after, {peak} MiB at most"
        )
    assert failures == []
    assert peak < before + 512
