"""Runs a benchmark's image in Unicorn and prints what it prints: run-unicorn.py IMAGE BITS MAIN.

Unicorn is a processor without a machine, so the program starts behind the frame's change of mode.
"""

import sys

from unicorn import UC_ARCH_X86, UC_HOOK_INSN, UC_MODE_32, UC_MODE_64, Uc
from unicorn.x86_const import UC_X86_INS_OUT, UC_X86_REG_ESP, UC_X86_REG_RSP

LOAD_ADDRESS = 0x100000
STACK = 0x300000
MEMORY_BYTES = 32 << 20


def write_port(machine, port, _size, value, _data):
    if port == 0xE9:
        sys.stdout.write(chr(value))
    elif port == 0xF4:
        machine.emu_stop()


def main():
    path, bits, start = sys.argv[1:]
    machine = Uc(UC_ARCH_X86, UC_MODE_64 if bits == "64" else UC_MODE_32)
    machine.mem_map(0, MEMORY_BYTES)
    with open(path, "rb") as image:
        machine.mem_write(LOAD_ADDRESS, image.read())
    machine.hook_add(UC_HOOK_INSN, write_port, None, 1, 0, UC_X86_INS_OUT)
    machine.reg_write(UC_X86_REG_RSP if bits == "64" else UC_X86_REG_ESP, STACK)
    machine.emu_start(int(start), 0)


main()
