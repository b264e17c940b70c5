; included
incl:	nop
 	dd	1,2
