/*
 * elf.c: every number in a file is doubted: people write their own programs.
 */
#include "base/elf.h"

#include "base/system.h"

#ifndef HAVE_PRELOAD

const char *
elf_refuses_preload(const char *path)
{
	(void)path;
	return "this system has no fork servers";
}

#else

#include <sys/stat.h>
#include <sys/xattr.h>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADERS_MAX 64
#define DYNAMIC_MAX 256
#define STRINGS_MAX (8 * 1024 * 1024)

/* A file is read, not mapped: whoever cuts it meanwhile would kill us. */
struct image {
	int fd; /* borrowed */
	ElfW(Phdr) headers[HEADERS_MAX];
	size_t header_count;
};

static bool
read_at(const struct image *i, uint64_t offset, void *out, size_t size)
{
	return offset <= INT64_MAX &&
	    pread(i->fd, out, size, (off_t)offset) == (ssize_t)size;
}

/* find_segment: the first of a type, or NULL. */
static const ElfW(Phdr) * find_segment(const struct image *i, uint32_t type)
{
	for (size_t n = 0; n < i->header_count; n++)
		if (i->headers[n].p_type == type)
			return &i->headers[n];
	return NULL;
}

/* find_offset: where in the file is what is loaded at `address`; UINT64_MAX. */
static uint64_t
find_offset(const struct image *i, uint64_t address)
{
	for (size_t n = 0; n < i->header_count; n++) {
		const ElfW(Phdr) *h = &i->headers[n];

		if (h->p_type == PT_LOAD && address >= h->p_vaddr &&
		    address - h->p_vaddr < h->p_filesz)
			return address - h->p_vaddr + h->p_offset;
	}
	return UINT64_MAX;
}

/* has_string: whether `name` is among the dynamic strings: all it imports. */
static bool
has_string(const struct image *i, const char *name)
{
	const ElfW(Phdr) *segment = find_segment(i, PT_DYNAMIC);
	uint64_t start = UINT64_MAX, size = 0;
	ElfW(Dyn) entries[DYNAMIC_MAX];
	bool found = false;
	char *strings;

	if (segment == NULL || segment->p_filesz > sizeof(entries) ||
	    !read_at(i, segment->p_offset, entries, segment->p_filesz))
		return false;
	for (size_t n = 0; n < segment->p_filesz / sizeof(*entries); n++) {
		if (entries[n].d_tag == DT_STRTAB)
			start = find_offset(i, entries[n].d_un.d_ptr);
		else if (entries[n].d_tag == DT_STRSZ)
			size = entries[n].d_un.d_val;
	}
	if (size > STRINGS_MAX || (strings = malloc(size + 1)) == NULL)
		return false;
	if (read_at(i, start, strings, size))
		found = memmem(strings, size, name, strlen(name) + 1) != NULL;
	free(strings);
	return found;
}

/* The main program, which is ours, is told of first. */
static int
take_loader(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	for (int n = 0; n < info->dlpi_phnum; n++)
		if (info->dlpi_phdr[n].p_type == PT_INTERP)
			*(const char **)arg =
			    (const char *)(uintptr_t)(info->dlpi_addr +
				info->dlpi_phdr[n].p_vaddr);
	return 1;
}

/* has_own_loader: whether it has the dynamic loader that we have. */
static bool
has_own_loader(const struct image *i, const ElfW(Phdr) * segment)
{
	const char *own = NULL;
	char path[256];

	dl_iterate_phdr(take_loader, &own);
	return own != NULL && segment->p_filesz == strlen(own) + 1 &&
	    segment->p_filesz <= sizeof(path) &&
	    read_at(i, segment->p_offset, path, segment->p_filesz) &&
	    memcmp(path, own, segment->p_filesz) == 0;
}

static const char *
judge(struct image *i)
{
	const ElfW(Phdr) * loader;
	ElfW(Ehdr) header;

	if (!read_at(i, 0, &header, sizeof(header)) ||
	    header.e_ident[EI_CLASS] !=
		(sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
	    header.e_phentsize != sizeof(*i->headers) ||
	    header.e_phnum > HEADERS_MAX ||
	    !read_at(i, header.e_phoff, i->headers,
		header.e_phnum * sizeof(*i->headers)))
		return "it is not a program of this machine";
	i->header_count = header.e_phnum;
	if ((loader = find_segment(i, PT_INTERP)) == NULL)
		return "it is statically linked";
	if (!has_own_loader(i, loader))
		return "it is linked with another C library";
	if (!has_string(i, "__libc_start_main"))
		return "it does not begin in the C library";
	return NULL;
}

static const char *
judge_descriptor(int fd)
{
	struct image image = {.fd = fd};
	struct stat st;

	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		return "its program cannot be read";
	if ((st.st_mode & (S_ISUID | S_ISGID)) != 0 ||
	    fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return "it runs with other privileges than its caller's "
		       "(set-user-id)";
	return judge(&image);
}

const char *
elf_refuses_preload(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const char *why;

	if (fd == -1)
		return "its program cannot be read";
	why = judge_descriptor(fd);
	close(fd);
	return why;
}

#endif
