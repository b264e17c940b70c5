; vmxlab: vcpus=2 pcpus=2
;
; Whoever releases looks for a sleeper first, and then passes the lock on. A waiter that falls
; asleep in between has looked too early, and nobody kicks it. Corrected: release, then look.
;
; EXPLORE: livelock
; SKIP: for `vmxlab explore`, which finds the schedule

%macro pass_on 0
%ifdef FIXED
    lock inc dword [head]
    mov edx, [wanted]
%else
    mov edx, [wanted]
    lock inc dword [head]
%endif
%endmacro

%macro publish 0
    mov eax, 1
    xchg [wanted], eax
%endmacro

%include "parts/one-sleeper.inc"
