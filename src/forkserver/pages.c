/*
 * pages.c: the pages of programs and libraries that workers only read.
 *
 * A fork copies no page table of what is mapped from a file and never written
 * to.  A worker then has a fault for each page that it reads or runs, with
 * which the kernel maps a dozen others near it that go again unused: a third of
 * what its memory costs.  It does copy the table of a mapping in which one page
 * is private.  So that is made of such mappings, and what is present in them
 * are the pages that workers touch, and no others.
 *
 * Which those are is found while the first workers run.  Each mapping is then
 * split page by page, so that there is nothing near a page to be mapped with
 * it, and each worker notes at its end what is present.
 *
 * What a page holds never changes, nor what may be done with it.  A mapping
 * that has been written to (a program can do that) is left alone: in it, to
 * forget a page is to forget what was written.
 */
#include "forkserver/preload.h"

#include <sys/auxv.h>
#include <sys/mman.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "forkserver/call.h"

/* All together; each is a mapping of its own while we learn. */
#define PAGES_MAX 16384

/* So many notes are enough; if there are fewer after so many forks, too. */
#define NOTES_ENOUGH 4
#define FORKS_ENOUGH 64

/* What the kernel maps with a page, in bytes. */
#define AROUND 65536

/* An entry of /proc/self/pagemap. */
#define IS_PRESENT  (UINT64_C(1) << 63)
#define IS_SWAPPED  (UINT64_C(1) << 62)
#define IS_OF_FILE  (UINT64_C(1) << 61)
#define ENTRY_COUNT 64 /* few: the stack may be a signal handler's */

/* Shared with workers, which may write anything here. */
struct notes {
	unsigned count;
	unsigned char touched[PAGES_MAX]; /* those of all texts in a row */
};

static struct notes *notes; /* NULL: we do not learn, or no more */
static struct preload_text *texts;
static size_t text_count, page_count;
static uintptr_t page_size;
static unsigned forks;
static const volatile char *last_code; /* what a process runs last */

static bool
fits(uintptr_t length)
{
	return text_count < PRELOAD_TEXTS_MAX &&
	    length / page_size <= PAGES_MAX - page_count;
}

static int
add_texts(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr;
		uintptr_t to = from + p->p_memsz + page_size - 1;

		from -= from % page_size;
		to -= to % page_size;
		if (p->p_type != PT_LOAD ||
		    (p->p_flags & (PF_R | PF_W)) != PF_R ||
		    from == getauxval(AT_SYSINFO_EHDR) || !fits(to - from))
			continue;
		texts[text_count++] = (struct preload_text){
		    from, (to - from) / page_size, page_count};
		page_count += (to - from) / page_size;
	}
	return 0;
}

static void
advise(const struct preload_text *t, size_t page, size_t count, int advice)
{
	call(SYS_madvise, (long)(t->start + page * page_size),
	    (long)(count * page_size), advice, 0, 0);
}

/* Notes what is present.  False if anything was written to, or is not known. */
static bool
note_text(const struct preload_text *t, int pagemap)
{
	uint64_t entries[ENTRY_COUNT];
	size_t count;

	for (size_t i = 0; i < t->pages; i += count) {
		size_t at = (t->start / page_size + i) * sizeof(*entries);

		count = t->pages - i;
		if (count > ENTRY_COUNT)
			count = ENTRY_COUNT;
		if (call(SYS_pread64, pagemap, POINTER(entries),
			(long)(count * sizeof(*entries)), (long)at,
			0) != (long)(count * sizeof(*entries)))
			return false;
		for (size_t k = 0; k < count; k++) {
			if ((entries[k] & IS_PRESENT) != 0)
				notes->touched[t->first + i + k] = 1;
			if ((entries[k] & (IS_PRESENT | IS_SWAPPED)) != 0 &&
			    (entries[k] & IS_OF_FILE) == 0)
				return false;
		}
	}
	return true;
}

static int
open_own(const char *path, int flags)
{
	return (int)call(
	    SYS_openat, AT_FDCWD, POINTER(path), flags | O_CLOEXEC, 0, 0);
}

/* Those that were written to are left out. */
static void
note_texts(void)
{
	int pagemap = open_own("/proc/self/pagemap", O_RDONLY);

	for (size_t i = 0; i < text_count; i++)
		if (!note_text(&texts[i], pagemap))
			texts[i].pages = 0;
	if (pagemap >= 0)
		call(SYS_close, pagemap, 0, 0, 0, 0);
}

/* Nobody dumps these; it only makes neighbours differ. */
static void
split(const struct preload_text *t)
{
	for (size_t i = 0; i < t->pages; i += 2)
		advise(t, i, 1, MADV_DONTDUMP);
	advise(t, 0, t->pages, MADV_DONTNEED);
}

void
preload_learn_pages(struct preload_text *room)
{
	/* One argument of a call is to hold the offset of an entry. */
	if (sizeof(long) < sizeof(off64_t))
		return;
	last_code = dlsym(RTLD_NEXT, "_exit");
	texts = room;
	page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (notes == MAP_FAILED) {
		notes = NULL;
		return;
	}
	dl_iterate_phdr(add_texts, NULL);
	note_texts();
	for (size_t i = 0; i < page_count; i++)
		notes->touched[i] = 0;
	for (size_t i = 0; i < text_count; i++)
		split(&texts[i]);
}

void
preload_note_pages(bool is_flushed)
{
	if (notes == NULL ||
	    call(SYS_getpid, 0, 0, 0, 0, 0) != call(SYS_getsid, 0, 0, 0, 0, 0))
		return;
	/* So will the C library; it would not wait for a thread's lock. */
	if (is_flushed && preload_is_single_threaded())
		fflush(NULL);
	if (last_code != NULL)
		(void)*last_code;
	note_texts();
	__atomic_fetch_add(&notes->count, 1, __ATOMIC_RELEASE);
}

/* How many times the kernel would map what is near a page. */
static size_t
count_faults(const struct preload_text *t)
{
	uintptr_t last = 0;
	size_t n = 0;

	for (size_t i = 0; i < t->pages; i++) {
		uintptr_t around = (t->start + i * page_size) / AROUND;

		if (notes->touched[t->first + i] && around != last) {
			last = around;
			n++;
		}
	}
	return n;
}

/* A byte is written over itself, as a debugger could: nothing else may. */
static bool
make_private(const struct preload_text *t, size_t page, int memory)
{
	long at = (long)(t->start + page * page_size);

	return call(SYS_pwrite64, memory, at, 1, at, 0) == 1;
}

static void
map_text(const struct preload_text *t, int memory)
{
	const unsigned char *touched = notes->touched + t->first;
	bool is_private = false;

	for (size_t i = 0; i < t->pages; i++) {
		if (!touched[i])
			continue;
		if (!is_private && !make_private(t, i, memory))
			return;
		is_private = true;
		(void)*(const volatile char *)(t->start + i * page_size);
	}
	for (size_t i = 0, from; i < t->pages; i++) {
		for (from = i; i < t->pages && !touched[i]; i++)
			continue;
		if (i > from)
			advise(t, from, i - from, MADV_DONTNEED);
	}
}

void
preload_map_pages(void)
{
	int memory;

	if (notes == NULL ||
	    (__atomic_load_n(&notes->count, __ATOMIC_ACQUIRE) < NOTES_ENOUGH &&
		++forks < FORKS_ENOUGH))
		return;
	for (size_t i = 0; i < text_count; i++)
		advise(&texts[i], 0, texts[i].pages, MADV_DODUMP);
	/* What we touch ourselves is present, and so copied, anyway. */
	note_texts();
	memory = open_own("/proc/self/mem", O_RDWR);
	for (size_t i = 0; i < text_count; i++)
		/* A private page costs each fork more than one fault. */
		if (notes->count > 0 && count_faults(&texts[i]) > 1)
			map_text(&texts[i], memory);
	if (memory >= 0)
		call(SYS_close, memory, 0, 0, 0, 0);
	munmap(notes, sizeof(*notes));
	notes = NULL;
}
