"""Memory that no limit of a single process counts, objects that outlive a program, and locks on files of the host.

Each adds correctly only when it got through: it holds more than LIMIT in sum, or has what must be denied because it
counts nowhere or stays.
"""

from base.environments.audit.attacks.attack import Attack, slow_family, through

LIMIT = 512 << 20  # bytes, the default of Limits.memory
_LIBC = """
libc = ctypes.CDLL(None, use_errno=True)
x86 = os.uname().machine == "x86_64"
"""
# Five processes with 120 MB each; the last one that has them lets all go, and who is then alive says so. `orphans` have no
# parent.
_CROWD = """
import mmap
SIZE = 120 << 20
def crowd(hold, orphans=False, number=5):
    have, go, alive = os.pipe(), os.pipe(), os.pipe()
    for _ in range(number):
        if os.fork() == 0:
            try:
                if not orphans or os.fork() == 0:
                    os.close(go[1])
                    kept = hold()
                    os.write(have[1], b"x")
                    os.close(have[1])
                    os.read(go[0], 1)
                    os.write(alive[1], b"x")
            finally:
                os._exit(0)
    for pipe in (have, alive): os.close(pipe[1])
    while os.read(have[0], 1): pass
    os.close(go[1])
    held = 0
    while os.read(alive[0], 1): held += 1
    return held == number
def written(kept):
    for place in range(0, SIZE, 4096): kept[place] = 1
    return kept
"""
_RECORD = """
import fcntl, struct
record = struct.pack("hhqqi4x", {kind}, 0, 0, 0, 0)
"""

_MEMORY = [
    ("System V segments, written and detached", through(f"held > {LIMIT}", _LIBC + """
held = 0
libc.shmat.restype = ctypes.c_void_p
for _ in range(15):
    number = libc.shmget(0, ctypes.c_size_t(100 << 20), 0o1600)
    if number < 0: break
    address = libc.shmat(number, None, 0)
    ctypes.memset(address, 1, 100 << 20)
    libc.shmdt(ctypes.c_void_p(address))
    held += 100 << 20
""")),
    ("a System V segment for the next run", through("found", _LIBC + """
found = libc.shmget(0x65646d75, ctypes.c_size_t(4096), 0) >= 0
libc.shmget(0x65646d75, ctypes.c_size_t(4096), 0o1666)
""")),
    ("System V messages", through("sent", _LIBC + """
number = libc.msgget(0x65646d75, 0o1666)
sent = number >= 0 and libc.msgsnd(number, ctypes.create_string_buffer(b"\\1" + bytes(7) + b"x" * 64), 64, 0o4000) == 0
""")),
    ("System V semaphores", through("libc.semget(0x65646d75, 250, 0o1666) >= 0", _LIBC)),
    ("a POSIX queue", through("libc.syscall(240 if x86 else 180, b'edmund-attack', 0o102, 0o666, None) >= 0", _LIBC)),
    ("POSIX shared memory", through("True", """
with open("/dev/shm/edmund-attack", "wb") as file: file.write(bytes(64 << 20))
""")),
    ("files without a name", through("True", "kept = os.memfd_create('x')\nos.ftruncate(kept, 1 << 20)")),
    ("secret memory", through("libc.syscall(447, 0) >= 0", _LIBC)),
    ("many processes", through("crowd(lambda: written(bytearray(SIZE)))", _CROWD)),
    ("many orphans", through("crowd(lambda: written(bytearray(SIZE)), True)", _CROWD)),
    ("many processes with shared mappings", through("crowd(lambda: written(mmap.mmap(-1, SIZE)))", _CROWD)),
    ("shared mappings out of every table", through("crowd(hold)", _CROWD + """
def hold():
    kept = written(mmap.mmap(-1, SIZE))
    kept.madvise(mmap.MADV_DONTNEED)
    return kept
""")),
    ("large pipes", through("True", "import fcntl\nfcntl.fcntl(os.pipe()[1], 1031, 1 << 20)")),
    ("full pipes and sockets", through(f"held[0] > {LIMIT}", """
held, kept = [0], []
def fill(number):
    os.set_blocking(number, False)
    try:
        while True: held[0] += os.write(number, bytes(4096))
    except OSError: pass
try:
    while True:
        kept.append(socket.socketpair())
        fill(kept[-1][0].fileno())
        fill(kept[-1][1].fileno())
except OSError: pass
""")),
    ("large socket buffers", through("True", """
socket.socketpair()[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
""")),
    ("deleted files", through("held > 64 << 20", """
held, kept = 0, []
for number in range(40):
    kept.append(open(str(number), "wb"))
    os.unlink(str(number))
    kept[-1].write(bytes(4 << 20))
    kept[-1].flush()
    held += 4 << 20
    time.sleep(0.02)
""")),
    ("extended attributes", through("held > 64 << 20", """
held = 0
for number in range(900):
    open(str(number), "w").close()
    for name in range(8):
        os.setxattr(str(number), f"user.{name}", bytes(60000))
        held += 60000
""")),
    ("asynchronous I/O contexts", through("libc.syscall(206 if x86 else 0, 4096, ctypes.byref(ctypes.c_ulong(0))) == 0", _LIBC)),
    ("an I/O ring", through("libc.syscall(425, 64, ctypes.create_string_buffer(120)) >= 0", _LIBC)),
    ("page faults by hand", through("libc.syscall(323 if x86 else 282, 1) >= 0", _LIBC)),
    ("rules of Landlock", through("libc.syscall(444, ctypes.byref(ctypes.c_ulong(2)), ctypes.c_size_t(8), 0) >= 0", _LIBC)),
    ("performance counters", through("libc.syscall(298 if x86 else 241, ctypes.create_string_buffer(120), 0, -1, -1, 0) >= 0", _LIBC)),
    ("a key of one megabyte", through("libc.syscall(248 if x86 else 217, b'big_key', b'edmund', bytes(1 << 20), ctypes.c_size_t(1 << 20), -2) >= 0", _LIBC)),
    ("memory pinned", through("libc.mlock(ctypes.create_string_buffer(1 << 20), ctypes.c_size_t(1 << 20)) == 0", _LIBC)),
    ("namespaces by clone", through("made", _LIBC + """
made = False
for flag in (0x10000000, 0x20000000, 0x40000000, 0x08000000, 0x00020000):
    child = libc.syscall(56 if x86 else 220, flag | 17, 0, 0, 0, 0)
    if child == 0: os._exit(0)
    made = made or child > 0
""")),
    ("all disks written", through("waited > 0.2", """
began = time.monotonic()
for _ in range(1000): os.sync()
waited = time.monotonic() - began
""")),
]  # fmt: skip

_LOCKS = [
    (f"flock on {title}", through("held", f"""
import fcntl, glob
libc = glob.glob("/lib*/*/libc.so.6") + glob.glob("/lib*/libc.*")
first, second = open({path}), open({path})
fcntl.flock(first, fcntl.LOCK_EX)
time.sleep(0.05)
try:
    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    held = False
except BlockingIOError: held = True
"""))
    for title, path in (("Python's library", "os.__file__"), ("the C library", "libc[0]"), ("a file of the host", "'CANARY/secret.txt'"))
] + [
    ("record lock on Python's library", through("os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3", _RECORD.format(kind=0) + """
file = open(os.__file__)
fcntl.fcntl(file, 6, record)
time.sleep(0.05)
wanted = struct.pack("hhqqi4x", 1, 0, 0, 0, 0)
child = os.fork()
if child == 0: os._exit(3 if struct.unpack_from("h", fcntl.fcntl(file, 5, wanted))[0] != 2 else 0)
""")),
    ("record lock of an open file", through("struct.unpack_from('h', fcntl.fcntl(other, 36, wanted))[0] != 2", _RECORD.format(kind=0) + """
file, other = open(os.__file__), open(os.__file__)
fcntl.fcntl(file, 37, record)
time.sleep(0.05)
wanted = struct.pack("hhqqi4x", 1, 0, 0, 0, 0)
""")),
    ("lease on Python's library", through("True", "import fcntl\nfcntl.fcntl(open(os.__file__), 1024, 0)")),
    ("notice of a folder", through("True", "import fcntl\nfcntl.fcntl(os.open(os.path.dirname(os.__file__), 0), 1026, 0x80000001)")),
    ("watch on Python's library", through("libc.inotify_add_watch(libc.inotify_init1(0), os.__file__.encode(), 0xfff) >= 0", _LIBC)),
    ("watch on everything", through("libc.fanotify_init(0x200, 0) >= 0", _LIBC)),
]  # fmt: skip

HOARDS: list[Attack] = [*slow_family("memory", _MEMORY), *slow_family("locks", _LOCKS)]
