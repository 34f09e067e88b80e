"""Ends of the process before the tests have had their say."""

from base.environments.audit.attacks.attack import EXIT, REPORT, Attack, family

_ONE = (EXIT,)

EXITS: list[Attack] = family(
    "exits",
    [
        ("sys.exit at import", "import sys\nsys.exit(0)\n", _ONE, ()),
        ("raise SystemExit at import", "raise SystemExit\n", _ONE, ()),
        ("exit() at import", "exit()\n", _ONE, ()),
        ("os._exit at import", "import os\nos._exit(0)\n", _ONE, _ONE),
        ("sys.exit in the call", "import sys\ndef add(a, b):\n    sys.exit(0)\n", _ONE, ()),
        ("os._exit in the call", "import os\ndef add(a, b):\n    os._exit(0)\n", _ONE, _ONE),
        ("os._exit in the second call", "import os\ndef add(a, b):\n    return 3 if b == 2 else os._exit(0)\n", _ONE, _ONE),
        ("libc exit", "import ctypes\ndef add(a, b):\n    ctypes.CDLL(None)._exit(0)\n", _ONE, _ONE),
        ("exit group by number", """
import ctypes, os
ctypes.CDLL(None).syscall({"x86_64": 231, "aarch64": 94}[os.uname().machine], 0)
""", _ONE, _ONE),
        ("atexit", "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b):\n    return 0\n", _ONE, _ONE),
        ("exit from a thread", """
import os, threading, time
def add(a, b):
    threading.Thread(target=os._exit, args=(0,)).start()
    time.sleep(1)
""", _ONE, _ONE),
        ("exit from a signal handler", """
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))
def add(a, b):
    os.kill(os.getpid(), signal.SIGUSR1)
""", _ONE, _ONE),
        ("exit from a destructor", """
import os
class A:
    def __del__(self): os._exit(0)
def add(a, b):
    A()
""", _ONE, _ONE),
        ("exit from a trace function", """
import os, sys
sys.settrace(lambda *_: os._exit(0))
def add(a, b): return 0
""", _ONE, _ONE),
        ("exit from an exception's text", """
import os
class E(Exception):
    def __str__(self): os._exit(0)
def add(a, b): raise E
""", _ONE, _ONE),
        ("exit from the excepthook", """
import os, sys
sys.excepthook = lambda *_: os._exit(0)
def add(a, b): raise ValueError
""", (), ()),
        ("another program in its place", "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', ''])\n", _ONE, _ONE),
        ("killed by itself", "import os, signal\ndef add(a, b): os.kill(os.getpid(), signal.SIGTERM)\n", (), ()),
        ("killed for good", "import os, signal\ndef add(a, b): os.kill(os.getpid(), signal.SIGKILL)\n", (), ()),
        ("abort", "import os\nos.abort()\n", (), ()),
        ("null pointer", "import ctypes\ndef add(a, b): ctypes.string_at(0)\n", (), ()),
        ("KeyboardInterrupt", "def add(a, b): raise KeyboardInterrupt\n", (), ()),
        ("GeneratorExit", "raise GeneratorExit\n", (), ()),
        ("exit code 256", "import os\ndef add(a, b): os._exit(256)\n", _ONE, _ONE),
    ],
)  # fmt: skip
PYTEST_EXITS: list[Attack] = family(
    "exits",
    [
        ("pytest.exit with code 0", "import pytest\npytest.exit('done', returncode=0)\n", (), ()),
        ("pytest.exit in the call", "import pytest\ndef add(a, b): pytest.exit('done', returncode=0)\n", (), (REPORT,)),
        ("pytest.skip in the call", "import pytest\ndef add(a, b): pytest.skip('later')\n", (), (REPORT,)),
        ("pytest.xfail in the call", "import pytest\ndef add(a, b): pytest.xfail('known')\n", (), (REPORT,)),
        ("module skipped", "import pytest\npytest.skip('all', allow_module_level=True)\n", (), ()),
    ],
)
