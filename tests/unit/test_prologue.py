"""How far a probe may move along the beginning of a function. Each case is a function `f`, in assembly."""

from __future__ import annotations

import os

import pytest

from funcsnoop.record.site_classes import SiteClass
from funcsnoop.record.sites import LOOP, Site

from .test_sites import function, sites_of

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="sites of x86-64")

EMULATED, STEPPED = SiteClass.EMULATED, SiteClass.STEPPED
END = '.section .note.GNU-stack,"",@progbits\n'
#: A jump through a table of distances, as position-independent code has it.
BY_DISTANCE = "lea table(%rip),%rdx\nmovslq (%rdx,%rdi,4),%rax\nadd %rdx,%rax\njmp *%rax"
#: What comes behind the straight line; the branches are to other functions.
REST = "je g\npush %rbx\npop %rbx\nret"


def on_line(skip: int, moved: int = 0) -> Site:
    return Site(skip, None, EMULATED, moved)


def head(skip: int = 0) -> Site:
    return Site(skip, None, STEPPED)


def whole(body: str, others: str = "") -> str:
    # Far from the code that the compiler adds, of which no symbol tells what it is.
    first = ".skip 200,0x90\n.globl g, main\n.type g,@function\ng: nop\nret\n.size g,.-g\n"
    return f".text\n{first}.type main,@function\nmain: ret\n.size main,1\n{function(body)}{others}{END}"


@pytest.mark.parametrize(
    ("line", "site"),
    [
        # Nothing that a probe sees.
        ("test %rdi,%rdi", on_line(3)),
        ("endbr64\ntest %rdi,%rdi", on_line(7)),
        ("cmp $5,%esi", on_line(3)),
        ("mov %rdi,%rax\ntest %rax,%rax", on_line(6)),
        ("xor %eax,%eax\nlea 8(%rdi),%r10\ncmp %r10,%rsi", on_line(9)),
        ("mov %edx,%r11d\nmovsbl %dil,%eax\nimul $3,%rsi,%rbx\ntest %eax,%eax", on_line(13)),
        ("pxor %xmm0,%xmm0\nmovd %edi,%xmm1\nmovd %xmm1,%eax\ntest %eax,%eax", on_line(14)),
        ("cmove %rsi,%rax\nsete %al", on_line(7)),
        # Loads from where memory is certain to be.
        ("mov 8(%rsp),%rax\ntest %rax,%rax", on_line(8)),
        ("cmpl $0,place(%rip)", on_line(7)),
        ("cmpl $0,place", on_line(8)),
        ("mov %fs:0x28,%rax\ntest %rax,%rax", on_line(12)),
        # The function's own part of the stack: the red zone, and what it has taken.
        ("mov %rbx,-8(%rsp)\ntest %rdi,%rdi", on_line(8)),
        ("movaps %xmm0,-24(%rsp)\ntest %rdi,%rdi", on_line(8)),
        # Arguments.
        ("mov %rsi,%rdi", head()),
        ("xor %ecx,%ecx", head()),
        ("mov $1,%dh", head()),  # the second byte of rdx
        ("mov $1,%ah", on_line(2)),
        ("mov $1,%sil", head()),
        ("add $1,%r8", head()),
        ("lea 8(%rdx),%r9", head()),
        ("movzbl %al,%esi", head()),
        ("sete %dl", head()),
        ("movq %xmm0,%rdi", head()),
        ("movmskps %xmm0,%edx", head()),
        ("cltd", head()),
        ("mul %rax", head()),
        ("xchg %rax,%rdi", head()),
        ("xchg %eax,%esi", head()),
        # Memory that an argument may point to, the caller's stack and the return address.
        ("mov %rax,(%rdi)", head()),
        ("movb $1,8(%rsi)", head()),
        ("mov %rax,place(%rip)", head()),
        ("mov %rax,8(%rsp)", head()),
        ("mov %rax,(%rsp)", head()),
        ("mov %rax,-4(%rsp)", head()),
        ("movaps %xmm0,-8(%rsp)", head()),
        ("mov %rax,-16(%rsp,%rax)", head()),
        ("mov %rax,-16(%rbp)", head()),
        ("lock incl -8(%rsp)\ntest %rdi,%rdi", on_line(8)),
        # What may fault: such a call would not be seen.
        ("mov (%rdi),%rax\ntest %rax,%rax", head()),
        ("cmpb $0,(%rsi)", head()),
        ("mov 16(%rbp),%rax", head()),
        ("mov %fs:(%rax),%rax", head()),
        ("div %rsi", head()),
        ("addsd %xmm1,%xmm0", head()),
        # What goes elsewhere, and what is not known.
        ("syscall", head()),
        ("call *place(%rip)", head()),
        ("rdtsc", head()),
        ("cpuid", head()),
        ("leave", head()),
        ("popf", head()),
        ("rdsspq %rdi", head()),
    ],
)
def test_straight_line(build_text, line, site):
    found = sites_of(build_text(whole(f"{line}\n{REST}", ".data\nplace: .quad 0\n"), "-no-pie", suffix=".s"))[
        "f"
    ]
    assert found.alone == site
    assert found.with_return == site


@pytest.mark.parametrize(
    ("line", "skip", "moved"),
    [
        ("sub $24,%rsp\ntest %rdi,%rdi", 7, 24),
        ("sub $0x12340,%rsp\ntest %rdi,%rdi", 10, 0x12340),
        ("add $-128,%rsp\ntest %rdi,%rdi", 7, 128),
        ("lea -40(%rsp),%rsp\ntest %rdi,%rdi", 8, 40),
        ("push $3\ntest %rdi,%rdi", 5, 8),
        ("sub $24,%rsp\nmov %rbx,16(%rsp)\ntest %rdi,%rdi", 12, 24),
        ("sub $24,%rsp\nmov %fs:0x28,%rax\nmov %rax,8(%rsp)\ntest %rdi,%rdi", 21, 24),
        ("sub $24,%rsp\nadd $16,%rsp\ntest %rdi,%rdi", 11, 8),
        ("endbr64\nsub $24,%rsp\ntest %rdi,%rdi", 11, 24),
        ("sub $8,%rsp\nnop", 4, 8),
        ("sub $8,%rsp\npush %rbx", 4, 8),
        ("sub $8,%rsp\ncall g", 4, 8),
    ],
)
def test_the_stack_pointer_moves(build_text, line, skip, moved):
    found = sites_of(build_text(whole(f"{line}\n{REST}"), suffix=".s"))["f"]
    assert found.alone == on_line(skip, moved)
    # A return probe would take the place of something else than the return address.
    assert found.with_return == head(4 if "endbr64" in line else 0)


@pytest.mark.parametrize(
    "line",
    [
        "sub $24,%rsp\nmov %rbx,24(%rsp)",  # the return address
        "sub $24,%rsp\nmov %rbx,32(%rsp)",
        "and $-32,%rsp",
        "sub %rax,%rsp",
        "sub $12,%rsp",  # no whole words
        "add $8,%rsp",  # the caller's part of the stack
        "mov %rsp,%rsp",
        "mov %rbp,%rsp",
        "lea -8(%rbp),%rsp",
        "lea -8(%rsp,%rax),%rsp",
        "lea -8(%esp),%esp",
        "sub $24,%esp",
        "pop %rax",
        "sub $0x100000,%rsp",  # more than the cookie can tell
        "xchg %rsp,%rax",
    ],
)
def test_the_stack_pointer_goes_astray(build_text, line):
    found = sites_of(build_text(whole(f"{line}\ntest %rdi,%rdi\n{REST}"), suffix=".s"))["f"]
    assert (found.alone, found.with_return) == (head(), head())


@pytest.mark.parametrize(
    ("body", "others", "site"),
    [
        # Nothing leads onto the line.
        ("test %edi,%edi\n2: je g\ndec %edi\nret", "", on_line(2)),
        # A loop to the site, to what is before it, and to the entry.
        ("test %edi,%edi\n1: je g\ndec %edi\njnz 1b\nret", "", head()),
        ("mov %edi,%eax\n1: test %eax,%eax\nje g\ndec %eax\njmp 1b", "", head()),
        ("mov %edi,%eax\n1: test %eax,%eax\nje g\n.skip 200,0x90\ndec %eax\njmp 1b", "", head()),
        ("test %edi,%edi\nje g\ndec %edi\njmp f", "", Site(0, LOOP)),
        ("endbr64\n1: test %edi,%edi\nje g\ndec %edi\njmp 1b", "", Site(0)),
        # A loop further down.
        ("test %edi,%edi\nje g\n1: dec %edi\njnz 1b\nret", "", on_line(2)),
        # From a part that has been moved away, near and far; from another function; a call.
        ("mov %edi,%eax\n1: test %eax,%eax\nje g\njmp f.cold\nret", "f.cold: dec %eax\njmp 1b\n", head()),
        (
            "mov %edi,%eax\n1: test %eax,%eax\nje g\njmp f.cold\nret",
            ".skip 300\nf.cold: dec %eax\njne 1b\nud2\n",
            head(),
        ),
        (
            "mov %edi,%eax\n1: test %eax,%eax\nje g\nret",
            ".type h,@function\nh: nop\njmp 1b\n.size h,.-h\n",
            head(),
        ),
        (
            "mov %edi,%eax\n1: test %eax,%eax\nje g\nret",
            ".type h,@function\nh: nop\ncall 1b\nret\n.size h,.-h\n",
            head(),
        ),
        # To the entry they are tail calls.
        ("test %edi,%edi\nje g\nret", ".type h,@function\nh: nop\njmp f\n.size h,.-h\n", on_line(2)),
        # Bytes that look like a jump onto the line, in another instruction and in another function.
        ("test %edi,%edi\nje g\nmov $0x9090fbeb,%eax\nret", "", on_line(2)),
        (
            "test %edi,%edi\nje g\nret",
            ".type h,@function\nh: mov $0x9090faeb,%eax\nret\n.size h,.-h\n",
            on_line(2),
        ),
        # The same where no symbol tells what it is.
        ("test %edi,%edi\nje g\nret", ".byte 0xeb,0xfb\n", head()),
        # Jumps through registers and memory: to other functions, through tables that lead onto the line, as
        # distances and as addresses, to a label of the function, and to what cannot be told.
        ("test %edi,%edi\nje g\njmp *%rax\nret", "", on_line(2)),
        ("test %edi,%edi\nje g\njmp *table(,%rdi,8)\nret", ".data\ntable: .quad f\n.text\n", on_line(2)),
        (
            "1: test %edi,%edi\n2: je g\njmp *table(,%rdi,8)\nret",
            ".data\ntable: .quad f, 2b\n.text\n",
            head(),
        ),
        (
            f"test %edi,%edi\n1: je g\n{BY_DISTANCE}",
            ".section .rodata\ntable: .long 1b-table\n.text\n",
            head(),
        ),
        (
            f"test %edi,%edi\nje g\n1: {BY_DISTANCE}",
            ".section .rodata\ntable: .long 1b-table\n.text\n",
            on_line(2),
        ),
        ("test %edi,%edi\n1: je g\nlea 1b(%rip),%rax\nmov %rax,(%rsi)\njmp *(%rsi)", "", head()),
        ("test %edi,%edi\n1: je g\nmov $1b,%eax\nmov %rax,(%rsi)\njmp *(%rsi)", "", head()),
        ("test %edi,%edi\nje g\nimul $3,%rdi,%rax\njmp *%rax", "", head()),
        ("test %edi,%edi\nje g\njmp *table(%rip)\nret", ".data\ntable: .quad f\n.text\n", on_line(2)),
        ("test %edi,%edi\nje g\nmov $0xe0ff,%eax\nret", "", on_line(2)),
        # Another function begins on the line.
        ("mov %edi,%eax\ninner: test %eax,%eax\nje g\nret", ".type inner,@function\n.size inner,3\n", head()),
        # Data in the code: what is behind it could be anything.
        ("test %edi,%edi\nje g\njmp 1f\n.byte 0x06,0xeb,0xf9\n1: ret", "", head()),
    ],
)
def test_what_leads_onto_the_line(build_text, body, others, site):
    assert sites_of(build_text(whole(body, others), "-no-pie", suffix=".s"))["f"].alone == site


@pytest.mark.parametrize(
    ("line", "arguments", "site"),
    [
        ("mov %rsi,%rdi", 0, on_line(3)),
        ("mov %rsi,%rdi", 1, head()),
        ("xor %r9d,%r9d", 5, on_line(3)),
        ("xor %r9d,%r9d", 6, head()),
        ("mov %rax,(%rdi)", 0, head()),
    ],
)
def test_only_recorded_arguments_count(build_text, line, arguments, site):
    path = build_text(whole(f"{line}\n{REST}"), suffix=".s")
    assert sites_of(path, arguments=arguments)["f"].alone == site


def test_nothing_moves_where_the_size_is_not_known(build_text):
    path = build_text(whole(f"test %rdi,%rdi\n{REST}").replace(".size f,.-f", ""), suffix=".s")
    assert "f" not in sites_of(path)


@pytest.mark.parametrize(
    ("body", "site"),
    [
        ("push %rbx\npop %rbx\nret", on_line(0)),
        ("endbr64\npush %rbx\npop %rbx\nret", on_line(4)),
        ("test %rdi,%rdi\nret", head()),
    ],
)
def test_heads(build_text, body, site):
    path = build_text(whole(body), suffix=".s")
    assert sites_of(path)["f"].alone == sites_of(path, at_entry=True)["f"].alone == site


@pytest.mark.parametrize(
    ("version", "kind"), [("6.18.44-generic", SiteClass.NOP5), ("7.0", SiteClass.NOP5), ("6.12.9", STEPPED)]
)
def test_a_nop_that_may_carry_a_probe(build_text, monkeypatch, version, kind):
    release = os.uname_result(("Linux", "host", version, "", "x86_64"))
    monkeypatch.setattr(os, "uname", lambda: release)
    path = build_text(whole(".byte 0x0f,0x1f,0x44,0x00,0x00\ntest %rdi,%rdi\nje g\nret"), suffix=".s")
    assert sites_of(path)["f"].alone == on_line(8)
    fast = sites_of(path, on_nops=lambda: True)["f"].alone
    assert fast == (Site(0, None, kind) if kind is SiteClass.NOP5 else on_line(8))
