"""Attempts on the walls. Each adds correctly only when it got through, so that an acceptance would show it."""

from base.environments.audit.attacks.attack import Attack, family, through

_LIBC = "libc = ctypes.CDLL(None, use_errno=True)\n"
_NUMBERS = 'x86 = os.uname().machine == "x86_64"\n'

ESCAPE: list[Attack] = [
    *family(
        "network",
        [
            ("TCP to the host", through("True", "socket.create_connection(('127.0.0.1', PORT), 1)"), (), ()),
            ("TCP over IPv6", through("True", "socket.create_connection(('::1', PORT), 1)"), (), ()),
            ("UDP outwards", through("sent > 0", """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sent = s.sendto(b"x", ("192.0.2.1", 9))
"""), (), ()),
            ("abstract socket of the host", through("True", r"""
s = socket.socket(socket.AF_UNIX)
s.connect("\0edmund-PORT")
"""), (), ()),
            ("socket in a host folder", through("True", "s = socket.socket(socket.AF_UNIX)\ns.connect('CANARY/socket')"), (), ()),
            ("name service", through("True", "socket.getaddrinfo('example.com', 80)"), (), ()),
            ("raw socket", through("True", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"), (), ()),
            ("interface switched on", through("True", """
import fcntl, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 1))
"""), (), ()),
        ],
    ),
    *family(
        "reading the host",
        [
            ("a file of the host", through("open('CANARY/secret.txt').read()"), (), ()),
            ("a file by way of ..", through("open('../' * 20 + 'CANARY/secret.txt').read()"), (), ()),
            ("the password file", through("open('/etc/passwd').read()"), (), ()),
            ("the graders' own source", through("open('GRADERS').read()"), (), ()),
            ("the environment", through("'EDMUND_SECRET' in os.environ or os.environ"), (), ()),
            ("the environment by libc", through("got", _LIBC + """
libc.getenv.restype = ctypes.c_char_p
got = libc.getenv(b"EDMUND_SECRET")
"""), (), ()),
            ("the command line in /proc", through("open('/proc/1/cmdline', 'rb').read()"), (), ()),
            ("the grader's environment", through("open('/proc/PARENT/environ', 'rb').read()"), (), ()),
            ("the grader's memory", through("open('/proc/PARENT/mem', 'rb')"), (), ()),
            ("the grader's files by descriptor", through("os.listdir('/proc/PARENT/fd')"), (), ()),
            ("the root by /proc", through("os.listdir('/proc/1/root/CANARY')"), (), ()),
            ("the own descriptors by /proc", through("os.listdir('/proc/self/fd')"), (), ()),
            ("a second /proc", through("not failed", _LIBC + "failed = libc.mount(b'proc', b'/tmp', b'proc', 0, None)"), (), ()),
            ("a file by handle", through("libc.syscall(number, -100, handle, 0) >= 0", _LIBC + _NUMBERS + """
number = 304 if x86 else 265
handle = b"\\x08\\0\\0\\0\\x01\\0\\0\\0\\x02\\0\\0\\0\\0\\0\\0\\0"
"""), (), ()),
            ("kernel log and devices", through("os.path.exists('/dev/mem') or os.path.exists('/dev/kmsg') or os.path.exists('/sys/kernel')"), (), ()),
        ],
    ),
    *family(
        "writing outside",
        [
            ("into a host folder", through("True", "open('CANARY/new.txt', 'w').write('x')"), (), ()),
            ("over a host file", through("True", "open('CANARY/secret.txt', 'w').write('x')"), (), ()),
            ("into Python's library", through("True", "open(os.__file__, 'a')"), (), ()),
            ("into site-packages", through("True", "import pytest\nopen(os.path.dirname(pytest.__file__) + '/edmund.py', 'w')"), (), ()),
            ("into the root", through("True", "open('/edmund-attack', 'w')"), (), ()),
            ("remounted writable", through("done == 0", _LIBC + "done = libc.mount(b'none', b'/', None, 32, None)"), (), ()),
            ("unmounted", through("done == 0", _LIBC + "done = libc.umount2(b'/tmp', 2)"), (), ()),
            ("own device", through("True", "os.mknod('disk', 0o60666, os.makedev(8, 0))"), (), ()),
            ("file name with ..", "# file: ../../CANARY/new.txt\nx\n", (), ()),
            ("absolute file name", "# file: CANARY/new.txt\nx\n", (), ()),
        ],
    ),
    *family(
        "symlinks",
        [
            ("link to a host folder", through("os.listdir('link')", "os.symlink('CANARY', 'link')"), (), ()),
            ("write through a link", through("True", "os.symlink('CANARY/new.txt', 'link')\nopen('link', 'w').write('x')"), (), ()),
            ("hard link to a library", through("True", "os.link(os.__file__, 'linked')"), (), ()),
            ("links in a circle", through("True", "os.symlink('b', 'a')\nos.symlink('a', 'b')\nopen('a')"), (), ()),
            ("working directory replaced by a link", through("os.path.exists('secret.txt')", """
os.mkdir("inside")
os.chdir("inside")
os.rmdir("../inside")
os.symlink("CANARY", "/tmp/inside")
os.chdir("/tmp/inside")
"""), (), ()),
            ("magic link", through("open('/proc/self/root/CANARY/secret.txt')"), (), ()),
        ],
    ),
    *family(
        "signals",
        [
            ("to the grader", through("True", "os.kill(PARENT, signal.SIGUSR1)"), (), ()),
            ("to the grader's group", through("True", "os.killpg(PARENT, signal.SIGUSR1)"), (), ()),
            ("to the parent", through("os.getppid() > 0", "os.kill(os.getppid() or 10**6, signal.SIGUSR1)"), (), ()),
            ("to every process there is", through("True", "os.kill(-1, signal.SIGKILL)\nos.kill(2, 0)"), (), ()),
            ("to every number", through("hit", """
hit = []
for number in range(2, 40000):
    try:
        os.kill(number, 0)
        hit.append(number)
    except OSError: pass
"""), (), ()),
            ("terminal input", through("True", "import fcntl\nfcntl.ioctl(0, 0x5412, b'x')"), (), ()),
        ],
    ),
    *family(
        "tracing",
        [
            ("ptrace of the grader", through("libc.ptrace(16, PARENT, 0, 0) == 0", _LIBC), (), ()),
            ("ptrace of the parent", through("libc.ptrace(16, os.getppid() or 10**6, 0, 0) == 0", _LIBC), (), ()),
            ("traced by the parent", through("libc.ptrace(0, 0, 0, 0) == 0", _LIBC), (), ()),
            ("memory of the grader", through("done >= 0", _LIBC + _NUMBERS + """
memory = ctypes.create_string_buffer(16)
vector = (ctypes.c_size_t * 2)(ctypes.addressof(memory), 16)
done = libc.syscall(310 if x86 else 270, PARENT, vector, 1, vector, 1, 0)
"""), (), ()),
            ("descriptor of the grader", through("done >= 0", _LIBC + "done = libc.syscall(438, libc.syscall(434, PARENT, 0), 3, 0)"), (), ()),
            ("bpf", through("done >= 0", _LIBC + _NUMBERS + "done = libc.syscall(321 if x86 else 280, 0, ctypes.create_string_buffer(72), 72)"), (), ()),
        ],
    ),
    *family(
        "privileges",
        [
            ("root by setuid", through("os.getuid() == 0", "os.setuid(0)"), (), ()),
            ("a user namespace", through("libc.unshare(0x10000000) == 0", _LIBC), (), ()),
            ("a mount namespace", through("libc.unshare(0x00020000) == 0", _LIBC), (), ()),
            ("a new root", through("True", "os.chroot('/')"), (), ()),
            ("more memory", through("True", "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))"), (), ()),
            ("more CPU time", through("True", "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (99999, 99999))"), (), ()),
            ("higher priority", through("True", "os.nice(-10)"), (), ()),
            ("the clock", through("True", "time.clock_settime(time.CLOCK_REALTIME, 0)"), (), ()),
        ],
    ),
]  # fmt: skip
# What only namespaces keep in; without them these would reach the host (one kills every process of the user).
WALLS = frozenset({"caches", *(attack.family for attack in ESCAPE)})
