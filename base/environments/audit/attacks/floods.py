"""Too much of everything, for too long, and processes that want to live on."""

from base.environments.audit.attacks.attack import Attack, slow_family, through

# A name by which a survivor is found in the host's process list.
DAEMON = "edmund-daemon"
_NAME = f"import ctypes\nctypes.CDLL(None).prctl(15, b'{DAEMON}', 0, 0, 0)\n"
_LATE = f"""
import os, time
def add(a, b):
    if os.fork() == 0:
        {_NAME.replace(chr(10), "; ", 1).strip()}
        os.setsid()
        if os.fork() == 0:
            while True:
                try: open("CANARY/late.txt", "a").write("x")
                except OSError: pass
                time.sleep(0.05)
        os._exit(0)
    return 0
"""

FLOODS: list[Attack] = [
    *slow_family(
        "daemons",
        [
            ("double fork", _LATE),
            ("deaf to signals", _LATE.replace("os.setsid()", "os.setsid(); import signal; [signal.signal(n, signal.SIG_IGN) "
             "for n in (1, 2, 3, 15, 24)]")),
            ("subprocess in its own session", f"""
import subprocess, sys
def add(a, b):
    code = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'{DAEMON}', 0, 0, 0); time.sleep(60)"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    return 0
"""),
            ("thread without end", """
import threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
def add(a, b): return 0
"""),
            ("child that keeps the socket", f"""
import os, time
def add(a, b):
    if os.fork() == 0:
        {_NAME.replace(chr(10), "; ", 1).strip()}
        time.sleep(60)
    return 0
"""),
            ("child that answers in its parent's place", """
import os
if os.fork() == 0:
    def add(a, b): return 0
else:
    def add(a, b): return 1
"""),
            ("server for the next run", through("found", """
s = socket.socket(socket.AF_UNIX)
found = s.connect_ex("\\0edmund-attack") == 0
if not found and os.fork() == 0:
    s.bind("\\0edmund-attack")
    s.listen()
    time.sleep(60)
""")),
        ],
    ),
    *slow_family(
        "bombs",
        [
            ("fork bomb", "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n"),
            ("fork bomb that ends", "import os\nfor _ in range(12):\n    try: os.fork()\n    except OSError: pass\n"
             "def add(a, b): return 0\n"),
            ("thread bomb", """
import threading, time
def add(a, b):
    for _ in range(10000): threading.Thread(target=time.sleep, args=(0.2,), daemon=True).start()
"""),
            ("memory bomb", "x = [0]\nwhile True: x = x + x\n"),
            ("one large block", "x = bytearray(8 << 30)\n"),
            ("mmap", "import mmap\nkept = [mmap.mmap(-1, 1 << 28) for _ in range(100)]\n"),
            ("memory in a file descriptor", """
import os
f = os.memfd_create("x")
def add(a, b):
    while True: os.write(f, bytes(1 << 20))
"""),
            ("exponents", "def add(a, b): return 10 ** 10 ** 8\n"),
            ("class tower", "c = object\nfor i in range(100000): c = type('C', (c,), {})\n"),
        ],
    ),
    *slow_family(
        "disk",
        [
            ("large file", "f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))\n"),
            ("sparse file", "import os\nos.truncate(os.open('big', os.O_CREAT | os.O_RDWR), 1 << 40)\n"),
            ("many files", "n = 0\nwhile True:\n    open(str(n), 'w').close()\n    n += 1\n"),
            ("folders without end", "import os\nwhile True:\n    os.mkdir('d')\n    os.chdir('d')\n"),
            ("many descriptors", "kept = []\nwhile True: kept.append(open('/dev/null'))\n"),
        ],
    ),
    *slow_family(
        "output",
        [
            ("endless print", "while True: print('x' * 100000)\n"),
            ("long answer", "def add(a, b): return 'x' * (1 << 25)\n"),
            ("many items", "def add(a, b): return list(range(1000000))\n"),
            ("endless iterator", "import itertools\ndef add(a, b): return itertools.count()\n"),
            ("long error", "def add(a, b): raise ValueError('x' * (1 << 26))\n"),
            ("nested answer", "def add(a, b):\n    x = []\n    for _ in range(100000): x = [x]\n    return x\n"),
            ("colliding hashes", "def add(a, b): return {i * (2 ** 61 - 1) for i in range(1, 3000)}\n"),
            ("endless frames", """
import os
def add(a, b):
    while True:
        for number in range(3, 16):
            try: os.write(number, b"\\0\\0\\0\\x02{}")
            except OSError: pass
"""),
        ],
    ),
    *slow_family(
        "loops",
        [
            ("while True", "while True: pass\n"),
            ("in C", "import itertools\ndef add(a, b): return sum(itertools.count())\n"),
            ("regular expression", "import re\ndef add(a, b): return re.match('(a*)*b', 'a' * 40)\n"),
            ("deaf to the CPU limit", """
import signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass
"""),
            ("sleep", "import time\ntime.sleep(60)\n"),
            ("stopped", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nimport time; time.sleep(60)\n"),
            ("in an answer's method", """
class A(int):
    def __eq__(self, other):
        while True: pass
def add(a, b): return A(0)
"""),
        ],
    ),
    *slow_family(
        "recursion",
        [
            ("in Python", "def add(a, b): return add(a, b)\n"),
            ("without a limit", "import sys\nsys.setrecursionlimit(10 ** 9)\ndef add(a, b): return add(b, a)\n"),
            ("in C", """
def add(a, b):
    x = []
    for _ in range(100000): x = (x,)
    return repr(x)
"""),
            ("in __repr__ of the error", """
class E(Exception):
    def __str__(self): return str(self)
def add(a, b): raise E
"""),
            ("deep source", "def add(a, b): return " + "(" * 5000 + "a" + ")" * 5000 + "\n"),
            ("long chain of operators", "def add(a, b): return " + "-" * 50000 + "a\n"),
            ("long chain of attributes", "def add(a, b): return a" + ".real" * 20000 + "\n"),
        ],
    ),
]  # fmt: skip
