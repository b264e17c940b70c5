; vmxlab: vcpus=2 pcpus=2
;
; The slow path of a paravirtual ticket lock: the waiter says that it will sleep by a plain store,
; which is still in its store buffer when it looks at the head once more, and nobody kicks it.
; Corrected: XCHG.
;
; EXPLORE: livelock --store-buffers
; SKIP: for `vmxlab explore`, which finds the schedule

%macro pass_on 0
    lock inc dword [head]
    mov edx, [wanted]
%endmacro

%macro publish 0
    mov eax, 1
%ifdef FIXED
    xchg [wanted], eax
%else
    mov [wanted], eax
%endif
%endmacro

%include "parts/one-sleeper.inc"
