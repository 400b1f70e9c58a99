"""What a case may do: end soon, in the package's own errors, within its memory and within its folder.

Python reports what it opens, spawns and connects to (audit events); what libraries in C open shows in the kernel's
watch over the canaries, files around the case's folder that nothing has reason to touch.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import resource
import signal
import struct
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CPU_SECONDS = 1.0
WALL_SECONDS = 30.0
MEMORY_BYTES = 200 * 1024 * 1024
MAX_SENTENCE = 2000
"""Characters of an error's message; what it quotes may be of any length, it may not."""

CANARY = "canary.txt"

_ALWAYS = frozenset(
    {
        *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "os.kill"),
        *("os.killpg", "subprocess.Popen", "pty.spawn", "webbrowser.open", "pickle.find_class", "marshal.loads"),
        *("ctypes.dlopen", "code.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"),
        *("socket.gethostbyname", "socket.gethostbyaddr", "socket.sendmsg", "urllib.Request", "http.client.connect"),
    }
)
"""Events that no reading of a file has reason for."""
_WRITES = frozenset(
    {
        *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
        *("os.chown", "os.utime", "os.setxattr", "os.removexattr", "shutil.copyfile", "shutil.copymode"),
        *("shutil.copystat", "shutil.copytree", "shutil.move", "shutil.rmtree"),
    }
)
_IN_OPEN, _IN_MODIFY, _IN_MOVED, _IN_CREATE, _IN_DELETE = 0x20, 0x2, 0xC0, 0x100, 0x200


class FoundError(Exception):
    """A case did what it may not."""


class _OutOfTime(BaseException):
    """Raised in a case whose processor time is up; no parser catches it."""


class Watch:
    """Runs cases one after the other in this process, in the folder ``root/in/case``."""

    def __init__(self, root: Path) -> None:
        """Lay out the folders and begin to watch; there is no way back for this process."""
        self.folder = root / "in" / "case"
        self.temporary = root / "tmp"
        for folder in (self.folder, self.temporary, root / "home", root / "cwd"):
            folder.mkdir(parents=True)
        self.canaries = [root / CANARY, root / "in" / CANARY]
        for canary in self.canaries:
            canary.write_text("the canary sings", encoding="utf-8")
        tempfile.tempdir = str(self.temporary)
        os.environ.update(HOME=str(root / "home"), TMPDIR=str(self.temporary))
        os.chdir(root / "cwd")
        self._readable = tuple(
            {
                *(os.path.realpath(p) + os.sep for p in (*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix)),
                *(os.path.realpath(p) + os.sep for p in sys.path if p),
                *("/dev/", "/proc/", "/sys/", "/usr/share/zoneinfo/", "/usr/lib/", "/lib/", "/lib64/"),
            }
        )
        self._own = tuple(os.path.realpath(p) + os.sep for p in (self.folder, self.temporary))
        self._active = False
        self._seen: list[str] = []
        self._kernel = _Inotify()
        for place in (root, root / "in", root / "home", root / "cwd"):
            self._kernel.add(place, _IN_MODIFY | _IN_MOVED | _IN_CREATE | _IN_DELETE)
        for canary in self.canaries:
            self._kernel.add(canary, _IN_OPEN | _IN_MODIFY)
        sys.addaudithook(self._audit)
        signal.signal(signal.SIGPROF, _stop)
        size, _ = resource.getrlimit(resource.RLIMIT_AS)
        most = _status("VmSize") + 4 * 1024**3
        resource.setrlimit(resource.RLIMIT_AS, (most, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    @staticmethod
    def settle() -> None:
        """Leave what there is out of garbage collections: half a million objects of libraries are none of a case's."""
        gc.collect()
        gc.freeze()

    def run(
        self, case: Callable[[], object], allowed: tuple[type[Exception], ...], *, again: bool = True
    ) -> Exception | None:
        """Run one case; what took long or was opened is run ``again``.

        Returns:
            the error that refused it, if any.

        Raises:
            FoundError: what it did that it may not, in one line.
        """
        _forget_peak()
        before, began, refusal = _status("VmRSS"), time.process_time(), None
        self._seen.clear()
        try:
            with self._limits():
                case()
        except allowed as error:
            _check_sentence(error)
            refusal = error
        except _OutOfTime as stopped:
            if again:  # the machine may have been busy with something else
                return self.run(case, allowed, again=False)
            raise FoundError(f"it took more than {CPU_SECONDS} s") from stopped
        except Exception as error:
            raise FoundError(f"it raised {type(error).__name__}: {str(error)[:300]!a}") from error
        if (seconds := time.process_time() - began) > CPU_SECONDS:
            if again:
                return self.run(case, allowed, again=False)
            raise FoundError(f"it took {seconds:.1f} s")
        if (grown := _status("VmHWM") - before) > MEMORY_BYTES:
            raise FoundError(f"it took {grown >> 20} MiB of memory")
        touched, opened = self._kernel.events()
        if opened and again and not touched and not self._seen:
            return self.run(case, allowed, again=False)  # another process may have looked through the folders
        if touched := [*self._seen, *touched, *opened]:
            raise FoundError(f"it left its folder: {', '.join(touched)[:500]}")
        return refusal

    @contextmanager
    def _limits(self) -> Iterator[None]:
        faulthandler.dump_traceback_later(WALL_SECONDS, exit=True)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        self._active = True
        try:
            yield
        finally:
            self._active = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._active:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = bool(set(mode or "") & set("wax+")) or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            self._check(event, path, writes=writes)
        elif event in _WRITES:
            for path in arguments[: 2 if event in ("os.rename", "os.link") or event.startswith("shutil.") else 1]:
                self._check(event, path, writes=True)
        elif event in ("os.listdir", "os.scandir"):
            self._check(event, arguments[0], writes=False)
        elif event in _ALWAYS and not self._is_import(event):
            self._seen.append(f"{event}{arguments[:2]!r}"[:200])

    @staticmethod
    def _is_import(event: str) -> bool:
        """Whether a module is being imported, which is cached code and libraries that are opened."""
        if event not in ("marshal.loads", "code.__new__", "ctypes.dlopen"):
            return False
        frame = sys._getframe()
        while frame := frame.f_back:  # type: ignore[assignment]
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                return True
        return False

    def _check(self, event: str, path: Any, *, writes: bool) -> None:
        if path is None or isinstance(path, int):
            return
        self._active = False  # what looking it up opens is ours
        try:
            real = os.path.realpath(os.fsdecode(path)) + os.sep
        except (OSError, ValueError):
            return  # a name that no file can have
        finally:
            self._active = True
        if not real.startswith(self._own if writes or real == os.devnull + os.sep else (*self._own, *self._readable)):
            self._seen.append(f"{event}({os.fsdecode(path)[:200]!a})")


def _stop(*_: object) -> None:
    raise _OutOfTime


def _check_sentence(error: Exception) -> None:
    sentence = str(error)
    if not sentence.strip():
        raise FoundError(f"its {type(error).__name__} says nothing")
    if len(sentence) > MAX_SENTENCE:
        raise FoundError(f"its {type(error).__name__} has {len(sentence)} characters: {sentence[:200]!a}")
    if not all(char.isprintable() for char in sentence):
        raise FoundError(f"its {type(error).__name__} cannot be printed on one line: {sentence[:300]!a}")


def _status(name: str) -> int:
    """Bytes, as the kernel counts them for this process."""
    with open("/proc/self/status", "rb") as file:  # noqa: PTH123  called twice a case
        for line in file:
            if line.startswith(name.encode()):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"the kernel does not tell {name}")


def _forget_peak() -> None:
    with suppress(OSError), open("/proc/self/clear_refs", "wb") as file:  # noqa: PTH123
        file.write(b"5")


class _Inotify:
    """The kernel's account of who touches which file."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._places: dict[int, Path] = {}

    def add(self, path: Path, mask: int) -> None:
        watch = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask)
        if watch < 0:
            raise OSError(ctypes.get_errno(), f"inotify_add_watch {path}")
        self._places[watch] = path

    def events(self) -> tuple[list[str], list[str]]:
        """What was changed and what was opened since the last call."""
        changed: list[str] = []
        opened: list[str] = []
        while True:
            try:
                data = os.read(self._descriptor, 65536)
            except BlockingIOError:
                return changed, opened
            while data:
                watch, mask, _, length = struct.unpack_from("iIII", data)
                place = Path(self._places[watch], os.fsdecode(data[16 : 16 + length].rstrip(b"\0")))
                (opened if mask & _IN_OPEN else changed).append(
                    f"{place} was {'opened' if mask & _IN_OPEN else 'changed'}"
                )
                data = data[16 + length :]
