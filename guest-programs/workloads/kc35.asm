; vmxlab: vcpus=4 pcpus=4 until=10s max-instructions=100G
;
; A kernel compile on four vCPUs under Linux 2.6.35, as `make -j20` with a spin lock that is chosen with
; -D LOCK: 20 jobs that compute for 5 ms and block for 0.3 ms, and one for the disk, 100 us in each ms.
; For a whole compile, give it the disk's time, the serial part and the number of bursts:
;
;   vmxlab run guest-programs/workloads/kc35.asm -D LOCK=byte-yield --hogs 4 \
;     --parameter bursts=1000 --parameter serial_ns=200000000

bits 64
org 0x100000
default rel

%ifndef LOCK
%define LOCK ticket
%endif
%define JOBS 20
%define BURST_NS 5000000
%define BLOCK_NS 300000
%define IO_BURST_NS 100000
%define IO_BLOCK_NS 900000
%define LOCKS 4
%define GAP_NS 1250000          ; each of four locks 200 times a second
%define HOLD_NS 60000           ; with the VM exits that a machine without EPT takes meanwhile
%define TIME_NS 1000000000

%include "../workloads/jobs.inc"
