// The runtime of a C program on the machine itself.

#include <stdio.h>

void put(char c) { putchar(c); }
