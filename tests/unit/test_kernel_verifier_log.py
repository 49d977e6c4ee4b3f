"""The one line worth showing of what real kernels' verifiers said."""

from __future__ import annotations

import pytest

from tcpvitals.kernel.verifier_log import first_meaningful_line

# Each is what the kernel named said to a program made to be refused; 7.3's are shortened.
MAYBE_NULL_5_10 = """\
Unrecognized arg#0 type PTR
; struct value *v = bpf_map_lookup_elem(&m, &k); return v->a[1];
0: (b4) w1 = 1
1: (63) *(u32 *)(r10 -4) = r1
2: (bf) r2 = r10
3: (07) r2 += -4
4: (18) r1 = 0xffff88800559c000
6: (85) call bpf_map_lookup_elem#1
7: (79) r0 = *(u64 *)(r0 +8)
R0 invalid mem access 'map_value_or_null'
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

POINTER_OR_NULL_5_10 = """\
arg#0 type is not a struct
Unrecognized arg#0 type PTR
0: (79) r3 = *(u64 *)(r1 +16)
1: (79) r1 = *(u64 *)(r3 +40)
R3 invalid mem access 'ptr_or_null_'
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

RESERVED_FIELDS_5_10 = """\
BPF_STX uses reserved fields
processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

UNKNOWN_HELPER_5_10 = """\
0: (79) r1 = *(u64 *)(r1 +24)
1: (85) call unknown#162
invalid func unknown#162
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

PAST_STRUCT_6_1 = """\
reg type unsupported for arg#0 function past_struct#25
0: R1=ctx(off=0,imm=0) R10=fp0
; struct sock *sk = (void *)ctx[0]; return *((__u64 *)sk + 4000);
0: (79) r1 = *(u64 *)(r1 +0)
func 'tcp_probe' arg0 has btf_id 93371 type STRUCT 'sock'
1: R1_w=ptr_sock(off=0,imm=0)
1: (79) r0 = *(u64 *)(r1 +32000)
access beyond struct sock at off 32000 size 8
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

WRONG_TYPE_6_18 = """\
0: R1=ctx() R10=fp0
; return bpf_sock_from_file(ctx->file) != 0; @ bad.bpf.c:19
0: (79) r1 = *(u64 *)(r1 +24)         ; R1=ptr_or_null_file(id=1)
1: (85) call bpf_sock_from_file#162
R1 type=ptr_or_null_ expected=ptr_, trusted_ptr_, rcu_ptr_
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

ENDLESS_6_18 = """\
5: (85) call bpf_get_smp_processor_id#8       ; R0=scalar(smin=0,smax=1,var_off=(0x0; 0x1))
6: (05) goto pc-5
2: (61) r1 = *(u32 *)(r10 -4)         ; R1=scalar(smin=0,smax=0xffffffff) R10=fp0 fp-8=mmmm????
infinite loop detected at insn 2
cur state: R0=scalar(smin=0,smax=1,var_off=(0x0; 0x1)) R10=fp0 fp-8=mmmm????
old state: R0=scalar(smin=0,smax=1,var_off=(0x0; 0x1)) R10=fp0 fp-8=mmmm????
processed 13 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 0
"""

REPORT_7_3 = """
Verification failed: Call Type Safety: Invalid call argument

Reason:
  The first argument (R1) to bpf_sock_from_file does not satisfy the verifier contract: it has type
  ptr_or_null_, but this argument accepts ptr_, trusted_ptr_, rcu_ptr_.

At:
  find_listeners @ listeners.h:68:2
  Source context:
      66 |         if (HAVE_SOCK_FROM_FILE)
  >>> 68 | note_file(ctx->file);
         | ^-- error: invalid first argument (R1) for bpf_sock_from_file
  Instruction context:
  >>> 1 | (85) call bpf_sock_from_file#162
      2 | (bf) r1 = r0

Causal path:
  no retained diagnostic events on this path

Suggestion:
  Pass a value with one of the accepted pointer or scalar types for this call.

processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

WRONG_TYPE_7_3 = (
    """\
0: R1=ctx() R10=fp0
0: (79) r1 = *(u64 *)(r1 +24)         ; R1=ptr_or_null_file(id=1)
1: (85) call bpf_sock_from_file#162
R1 type=ptr_or_null_ expected=ptr_, trusted_ptr_, rcu_ptr_
"""
    + REPORT_7_3
)

# libbpf puts its own reason where the instruction was.
RELOCATION_LIBBPF = """\
0: R1=ctx() R10=fp0
0: (79) r6 = *(u64 *)(r1 +0)
3: <invalid CO-RE relocation>
failed to resolve CO-RE relocation <byte_off> [34] struct tcp_sock.srtt_us (0:0)
processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

TOO_LARGE_6_12 = """\
from 12 to 20: R0=scalar() R1=ctx() R10=fp0
20: (07) r1 += 1
mark_precise: frame0: last_idx 20 first_idx 12 subseq_idx -1
mark_precise: frame0: regs=r1 stack= before 19: (b7) r1 = 0
BPF program is too large. Processed 1000001 insn
verification time 345678 usec
stack depth 88+0
processed 1000001 insns (limit 1000000) max_states_per_insn 30 total_states 9 peak_states 9
"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (MAYBE_NULL_5_10, "R0 invalid mem access 'map_value_or_null'"),
        (POINTER_OR_NULL_5_10, "R3 invalid mem access 'ptr_or_null_'"),
        (RESERVED_FIELDS_5_10, "BPF_STX uses reserved fields"),
        (UNKNOWN_HELPER_5_10, "invalid func unknown#162"),
        (PAST_STRUCT_6_1, "access beyond struct sock at off 32000 size 8"),
        (WRONG_TYPE_6_18, "R1 type=ptr_or_null_ expected=ptr_, trusted_ptr_, rcu_ptr_"),
        (ENDLESS_6_18, "infinite loop detected at insn 2"),
        (WRONG_TYPE_7_3, "R1 type=ptr_or_null_ expected=ptr_, trusted_ptr_, rcu_ptr_"),
        (
            RELOCATION_LIBBPF,
            "failed to resolve CO-RE relocation <byte_off> [34] struct tcp_sock.srtt_us (0:0)",
        ),
        (TOO_LARGE_6_12, "BPF program is too large. Processed 1000001 insn"),
    ],
)
def test_the_reason_is_found_in_what_every_kernel_wraps_around_it(log: str, line: str) -> None:
    assert first_meaningful_line(log) == line


def test_a_report_without_a_reason_before_it_is_named_by_its_title() -> None:
    title = "Verification failed: Call Type Safety: Invalid call argument"
    assert first_meaningful_line("0: R1=ctx() R10=fp0\n" + REPORT_7_3) == title


@pytest.mark.parametrize("log", ["", "\n", "  \n\t\n"])
def test_an_empty_log_gave_no_reason(log: str) -> None:
    assert first_meaningful_line(log) == "no reason given"


def test_a_log_of_noise_alone_still_shows_its_last_line() -> None:
    assert first_meaningful_line("0: (95) exit\nprocessed 1 insns\n") == "processed 1 insns"


def test_the_line_shown_is_never_longer_than_two_hundred_characters() -> None:
    assert first_meaningful_line("x" * 5000) == "x" * 200
