# Included by the snippets in GAS syntax.
.macro included value
        .byte \value
.endm
        nop
