; vmxlab: vcpus=2 pcpus=2
;
; The waiter halts without having said so. Whoever releases the lock kicks only sleepers, knows of
; none, and the waiter sleeps for good. Corrected: say so by a locked store, then look once more.
;
; EXPLORE: livelock
; SKIP: for `vmxlab explore`, which finds the schedule

%macro pass_on 0
    lock inc dword [head]
    mov edx, [wanted]
%endmacro

%macro publish 0
%ifdef FIXED
    mov eax, 1
    xchg [wanted], eax
%endif
%endmacro

%include "parts/one-sleeper.inc"
