; vmxlab: vcpus=4 pcpus=4 until=10s max-instructions=100G
;
; A kernel compile under Linux 4.12, as `make -j36` on 28 vCPUs, with a spin lock that is chosen with
; -D LOCK: jobs that compute for 8 ms and block for 1.5 ms; 10,000 locks in a second of each vCPU.
; 13 % of the time that it takes alone are serial: serial_ns, with the number of bursts, says so.

bits 64
org 0x100000
default rel

%ifndef LOCK
%define LOCK virt-spin
%endif
%define JOBS 36
%define BURST_NS 8000000
%define BLOCK_NS 1500000
%define LOCKS 8
%define GAP_NS 97000            ; with the hold 100 us
%define HOLD_NS 3000
%define TIME_NS 1000000000

%include "../workloads/jobs.inc"
