// The first PIC as guests of tests set it up.

/** Its lines but those masked interrupt by vectors from 20H on; edges, and each is to be ended. */
export function firstPicSetUp(mask: number): string {
  return `
  mov al, 0x11
  out 0x20, al
  mov al, 0x20
  out 0x21, al
  mov al, 4
  out 0x21, al
  mov al, 1
  out 0x21, al
  mov al, ${mask}
  out 0x21, al
`;
}
