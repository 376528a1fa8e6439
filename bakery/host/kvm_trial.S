# The trial guest of bakery/kvm.py: a boot sector (512 bytes at 0x7c00) that does what a real
# guest does first, and then leaves by the debug-exit port with exit code (0x10 << 1) | 1 = 33:
# real mode, long mode with paging, SSE2, a loop that only real hardware support makes short,
# and eight timer interrupts waited for with HLT.
#
# Build:  as --64 kvm_trial.S -o t.o
#         ld -m elf_x86_64 -Ttext 0x7c00 --oformat binary t.o -o t.bin
# Source of the mode switch: Intel SDM vol. 3A, 10.8.5 "Initializing IA-32e Mode".

.code16
.globl _start
_start:
  cli
  xorw %ax, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movw $0x7c00, %sp
  movw $0x1000, %di             # page tables at 0x1000, 0x2000, 0x3000
  movw $0x1800, %cx
  rep stosw
  movw $0x2003, 0x1000          # PML4[0], PDPT[0], then one 2 MiB page, all identity
  movw $0x3003, 0x2000
  movw $0x0083, 0x3000
  lgdt gdtr
  movl $0x620, %eax             # CR4: PAE, OSFXSR, OSXMMEXCPT
  movl %eax, %cr4
  movl $0x1000, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx        # EFER.LME
  rdmsr
  orw $0x100, %ax
  wrmsr
  movl %cr0, %eax
  andb $0xfb, %al               # CR0: EM off; PG, MP, PE on
  orl $0x80000003, %eax
  movl %eax, %cr0
  ljmp $8, $long

.code64
long:
  movw $16, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movl $0x7c00, %esp
  xorl %eax, %eax               # an IDT at 0x4000 with one gate, vector 0x20
  movl $0x4000, %edi
  movl $0x210, %ecx
  rep stosb
  movl $(0x80000 + tick), 0x4200
  movw $0x8e00, 0x4204
  lidt idtr
  movb $0x11, %al               # the 8259: IRQ 0 at vector 0x20, the others masked
  outb %al, $0x20
  movb $0x20, %al
  outb %al, $0x21
  movb $0x04, %al
  outb %al, $0x21
  movb $0x01, %al
  outb %al, $0x21
  movb $0xfe, %al
  outb %al, $0x21
  movb $0x34, %al               # the 8254: channel 0 ticks every 4096 / 1193182 s
  outb %al, $0x43
  xorb %al, %al
  outb %al, $0x40
  movb $0x10, %al
  outb %al, $0x40
  movdqu 0x7c00, %xmm0
  movdqu %xmm0, 0x5000
  movl $0x4000000, %ecx
spin:
  decl %ecx
  jnz spin
  movl $8, %ebx
wait:
  sti
  hlt
  decl %ebx
  jnz wait
  movb $0x10, %al
  outb %al, $0xf4
  cli
  hlt
tick:
  movb $0x20, %al
  outb %al, $0x20
  iretq

.p2align 3
gdt:
  .quad 0
  .quad 0x00209a0000000000      # 64-bit code
  .quad 0x0000920000000000      # data
gdtr:
  .word 23
  .long gdt
idtr:
  .word 0x20f
  .quad 0x4000

.org 510
.word 0xaa55
