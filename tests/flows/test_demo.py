"""`querymill demo` and `querymill prepare` as somebody starts them: processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import aiohttp
import psutil
import pytest

from proxy.demo.material import EXAMPLES, load_material

# Each starts an OpenSearch of its own, on a machine that may have other work to do.
pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).parents[2]


async def start(*arguments: str, **env: str) -> Process:
    command = [sys.executable, "-m", "proxy", *arguments]
    return await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=PIPE, cwd=ROOT, env={**os.environ, **env}
    )


async def finish(process: Process) -> tuple[int | None, str, str]:
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_demo_shows_every_example_and_ends() -> None:
    """`--once`: every showcase with its responses before and after, then exit code 0."""
    process = await start("demo", "--once", "--port", "0")
    code, out, err = await finish(process)
    assert (code, err) == (0, "")
    for showcase in load_material().showcases:
        assert f"\n{showcase.id}  ({', '.join(showcase.pipelines)})  ok\n" in out
    assert "before  18 hits" in out
    assert "after   40 hits (+22)" in out
    assert "told: spell_correction" in out
    assert 'price_band: "premium" (new)' in out
    assert "price: has to be of type number, is text" in out
    assert "\x1b" not in out
    assert "curl" not in out


async def test_the_demo_stays_up_until_interrupted(tmp_path: Path) -> None:
    """It serves what it printed; Ctrl-C ends it and its backend; a failed showcase is its code."""
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    path = folder / "catalogue" / "showcase.json"
    showcases = json.loads(path.read_text())[:1]
    showcases[0]["expect"]["total_after"] = 41
    path.write_text(json.dumps(showcases))
    process = await start("demo", "--port", "0", "--examples", str(folder))
    assert process.stdout is not None
    out = ""
    while "Ctrl-C stops everything" not in out:
        line = (await process.stdout.readline()).decode()
        assert line, out
        out += line
    assert "NOT AS EXPECTED: laptop: total_after: is 40, not 41" in out
    # The sandbox and the tests' own helpers are no children: what is left is the backend's.
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    urls = re.findall(r"http://127\.0\.0\.1:[0-9]+", out[out.index("The proxy is on") :])
    async with aiohttp.ClientSession() as session:
        for url in urls[:2]:
            async with session.get(f"{url}/products/_count") as response:
                assert (await response.json())["count"] == 1200
    process.send_signal(signal.SIGINT)
    code, _, err = await finish(process)
    assert code == 1
    assert err == "querymill: a showcase did not do what it should; see above\n"
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 20)
    assert alive == []


async def test_an_interrupted_start_says_so_and_leaves_nothing() -> None:
    """SIGTERM while the backend starts: an exit code of its own, and no process is left."""
    process = await start("demo", "--once", "--port", "0")
    assert process.stdout is not None
    assert b"starting OpenSearch" in await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    code, _, err = await finish(process)
    assert code == 1
    assert "interrupted before all showcases were run" in err


async def test_a_taken_port_is_reported_before_anything_starts() -> None:
    """The message names the port and says to choose another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await start("demo", "--port", "0", "--listen", f"127.0.0.1:{port}")
        code, out, err = await finish(process)
    assert (code, out) == (1, "")
    assert f"the proxy's port {port} on 127.0.0.1 is taken" in err
    assert "choose another" in err


async def test_a_demo_that_cannot_be_started_is_one_line(tmp_path: Path) -> None:
    """No examples, or an address that is none."""
    code, _, err = await finish(await start("demo", "--examples", str(tmp_path)))
    assert code == 1
    assert err.startswith("querymill: no examples in ")
    code, _, err = await finish(await start("demo", "--listen", "nowhere"))
    assert code == 2
    assert "expected HOST:PORT" in err


async def test_prepare_opens_the_runtime_of_the_cache() -> None:
    """With the sandbox built before, it says where it is and ends well."""
    code, out, err = await finish(await start("prepare"))
    assert (code, out) == (0, "")
    assert re.search(r"^the sandbox runtime is in /.+$", err, re.MULTILINE)


@pytest.fixture
def shared_folder(tmp_path: Path) -> Path:
    """A folder that everybody can write to."""
    tmp_path.chmod(0o777)
    return tmp_path


async def test_prepare_refuses_what_it_cannot_use(shared_folder: Path) -> None:
    """A cache folder others can write to, since it holds native code; a setting that is wrong."""
    code, _, err = await finish(await start("prepare", QUERYMILL_CACHE_DIR=str(shared_folder)))
    assert code == 1
    assert "others may write to the cache folder" in err
    code, _, err = await finish(await start("prepare", QUERYMILL_LOG_LEVEL="loud"))
    assert code == 2
    assert "QUERYMILL_LOG_LEVEL" in err
