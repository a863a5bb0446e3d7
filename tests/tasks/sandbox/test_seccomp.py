"""The filter's decisions, by a small interpreter, so that the other processor is tested as well."""

import errno
import struct

import pytest

from tasks.sandbox.seccomp import filter_for
from tasks.sandbox.syscalls import MACHINES, RULED, SET_UP, TOLD

PID = 4711
ALLOW, KILL, TELL = 0x7FFF0000, 0x80000000, 0x7FC00000
AF_UNIX = 1
FORK_FLAGS, THREAD_FLAGS = 0x01200011, 0x003D0F00


def decide(
    machine: str,
    number: int,
    *arguments: int,
    audit: int | None = None,
    driver_calls: bool = False,
    tell: bool = False,
) -> int:
    """Runs the filter; returns ALLOW, KILL, or the errno it answers."""
    arch = MACHINES[machine].audit if audit is None else audit
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<iIQ6Q", number, arch, 0, *(a & (2**64 - 1) for a in padded))
    program = list(
        struct.iter_unpack("=HBBI", filter_for(PID, machine, driver_calls=driver_calls, tell=tell))
    )
    accumulator, place = 0, 0
    while True:
        code, yes, no, operand = (int(part) for part in program[place])
        place += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x06:
                return operand if operand in {ALLOW, KILL, TELL} else operand & 0xFFFF
            case _:
                met = {
                    0x15: accumulator == operand,
                    0x25: accumulator > operand,
                    0x35: accumulator >= operand,
                    0x45: bool(accumulator & operand),
                }[code]
                place += yes if met else no


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_what_computing_needs_is_allowed(machine: str) -> None:
    calls = MACHINES[machine].calls
    for name in calls.keys() - RULED - SET_UP:
        assert decide(machine, calls[name]) == ALLOW, name


def test_what_builds_walls_is_refused_behind_them(machine: str) -> None:
    for name in SET_UP:
        assert decide(machine, MACHINES[machine].calls[name]) == errno.EPERM, name


def test_threads_yes_processes_no(machine: str) -> None:
    clone, clone3 = (MACHINES[machine].calls[name] for name in ("clone", "clone3"))
    assert decide(machine, clone, THREAD_FLAGS) == ALLOW
    assert decide(machine, clone, FORK_FLAGS) == errno.EPERM
    assert decide(machine, clone, THREAD_FLAGS | 0x10000000) == errno.EPERM
    assert decide(machine, clone3) == errno.ENOSYS


def test_signals_reach_nobody_else(machine: str) -> None:
    for name in ("kill", "tgkill"):
        number = MACHINES[machine].calls[name]
        assert decide(machine, number, PID, 9) == ALLOW
        for other in (0, 1, -1, -PID, PID + 1):
            assert decide(machine, number, other, 9) == errno.EPERM


def test_limits_can_be_read_and_not_set(machine: str) -> None:
    number = MACHINES[machine].calls["prlimit64"]
    assert decide(machine, number, 0, 7, 0, 1 << 40) == ALLOW
    for pointer in (1, 1 << 32, 0x7FFF_0000_0000):
        assert decide(machine, number, 0, 7, pointer) == errno.EPERM


def test_attributes_that_would_free_the_child_cannot_be_set(machine: str) -> None:
    calls = MACHINES[machine].calls
    assert decide(machine, calls["prctl"], 15) == ALLOW
    for option in (1, 22, 24, 35, 47):  # parent death, seccomp, capabilities, memory map
        assert decide(machine, calls["prctl"], option) == errno.EPERM
    for command in (8, 10, 15):
        assert decide(machine, calls["fcntl"], 0, command) == errno.EPERM
    assert decide(machine, calls["fcntl"], 0, 1) == ALLOW
    assert decide(machine, calls["ioctl"], 0, 0x5412) == errno.ENOTTY  # push characters to a tty
    assert decide(machine, calls["sched_setaffinity"], PID + 1) == errno.EPERM


def test_foreign_ways_into_the_kernel_kill(machine: str) -> None:
    assert decide(machine, 0, audit=0x40000003) == KILL  # 32-bit entry
    assert decide(machine, 0x40000000 | 41) == KILL  # x32


def test_calls_of_the_future_do_not_exist(machine: str) -> None:
    assert decide(machine, MACHINES[machine].newest + 1) == errno.ENOSYS


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("socket", 41), ("connect", 42), ("socketpair", 53), ("fork", 57), ("vfork", 58),
        ("execve", 59), ("ptrace", 101), ("setsid", 112), ("setpgid", 109), ("personality", 135),
        ("chroot", 161), ("mount", 165), ("chmod", 90), ("chown", 92), ("utimensat", 280),
        ("setxattr", 188), ("mknod", 133), ("init_module", 175), ("kexec_load", 246),
        ("add_key", 248), ("keyctl", 250), ("unshare", 272), ("perf_event_open", 298),
        ("setns", 308), ("process_vm_writev", 311), ("seccomp", 317), ("memfd_create", 319),
        ("bpf", 321), ("execveat", 322), ("userfaultfd", 323), ("io_uring_setup", 425),
        ("pidfd_open", 434), ("pidfd_send_signal", 424), ("shmget", 29), ("mq_open", 240),
        ("rt_sigqueueinfo", 129), ("tkill", 200), ("setrlimit", 160), ("truncate", 76),
    ],
)  # fmt: skip
def test_what_leads_out_is_refused(name: str, number: int) -> None:
    assert name
    assert decide("x86_64", number) == errno.EPERM


def test_a_filter_that_tells_refuses_nothing_less(machine: str) -> None:
    told = TOLD[machine]
    for number in range(MACHINES[machine].newest + 2):
        for arguments in ((0,), (PID,), (PID + 1, 9), (FORK_FLAGS,), (THREAD_FLAGS,), (1, 8)):
            plain = decide(machine, number, *arguments)
            telling = decide(machine, number, *arguments, tell=True)
            local = number == told["socket"] and arguments[0] == AF_UNIX
            asked = plain == errno.EPERM and number in told.values() and not local
            assert telling == (TELL if asked else plain)


def test_every_told_call_is_refused_somewhere(machine: str) -> None:
    for name, number in TOLD[machine].items():
        assert decide(machine, number, FORK_FLAGS, tell=True) == TELL, name


def test_other_processors_are_refused_loudly() -> None:
    with pytest.raises(NotImplementedError, match="riscv64"):
        filter_for(PID, "riscv64")


DRIVER_CALLS = {
    "register an event": 0xC028_46CE,
    "allocate on the card": 0xC030_462B,
    "begin of unified memory": 0x3000_0001,
    "unified memory, unnumbered": 75,
}
OTHER_CALLS = {
    "push characters to a tty": 0x5412,
    "another type": 0x4B46,
    "a loop device": 0x4C00,
    "KVM": 0xAE01,
    "tun": 0x4004_54CA,
}


@pytest.mark.parametrize("name", [*DRIVER_CALLS, *OTHER_CALLS])
def test_only_a_child_with_a_gpu_calls_its_driver_and_no_other(machine: str, name: str) -> None:
    number = MACHINES[machine].calls["ioctl"]
    call = (DRIVER_CALLS | OTHER_CALLS)[name]
    assert decide(machine, number, 3, call) == errno.ENOTTY
    allowed = ALLOW if name in DRIVER_CALLS else errno.ENOTTY
    assert decide(machine, number, 3, call, driver_calls=True) == allowed


def test_a_gpu_changes_no_other_decision(machine: str) -> None:
    calls = MACHINES[machine].calls
    ruled = {calls[name] for name in RULED - {"ioctl"}}
    for number in {*ruled, 41, 59, MACHINES[machine].newest + 1}:
        for argument in (0, 1, PID, 1 << 28):
            plain = decide(machine, number, argument)
            assert decide(machine, number, argument, driver_calls=True) == plain
    for command in (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451):
        assert decide(machine, calls["ioctl"], 0, command, driver_calls=True) == ALLOW
