/*
 * elf: what a program file says of itself.
 */
#ifndef BASE_ELF_H
#define BASE_ELF_H

/*
 * elf_refuses_preload: why the library of fork servers cannot be loaded into
 * `path`, a binary program, or would not be called; NULL: it can.  Where the
 * system has no such library, that is the reason.
 */
const char *elf_refuses_preload(const char *path);

#endif
