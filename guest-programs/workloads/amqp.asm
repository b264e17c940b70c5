; vmxlab: vcpus=4 pcpus=4 until=10s max-instructions=100G
;
; A message broker and its clients in a closed loop, as many jobs as there are messages under way: each
; computes for 1.8 ms, taking one of four locks every 41 us, and waits for 54 us. What counts is how
; many bursts are done in the time.

bits 64
org 0x100000
default rel

%ifndef LOCK
%define LOCK ticket
%endif
%define JOBS 6
%define BURST_NS 1800000
%define BLOCK_NS 54000
%define LOCKS 4
%define GAP_NS 39700            ; with the hold 41 us
%define HOLD_NS 1300
%define TIME_NS 1000000000

%include "../workloads/jobs.inc"
