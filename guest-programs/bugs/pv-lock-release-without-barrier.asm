; vmxlab: vcpus=2 pcpus=2
;
; A paravirtual ticket lock is released by a plain store: the look for sleepers overtakes it,
; finds none, and whoever falls asleep meanwhile is never kicked. Corrected: a locked increment.
;
; EXPLORE: livelock --store-buffers
; SKIP: for `vmxlab explore`, which finds the schedule

%macro pass_on 0
%ifdef FIXED
    lock inc dword [head]
%else
    mov dword [head], 1
%endif
    mov edx, [wanted]
%endmacro

%macro publish 0
    mov eax, 1
    xchg [wanted], eax
%endmacro

%include "parts/one-sleeper.inc"
