/*
 * finish.c: the end of what is loaded.
 *
 * At the end of a process the dynamic loader calls what each object (program or
 * library) wants to have called then.  For that it sorts them all and writes
 * into each that it has ended, which is a tenth of what a small worker costs;
 * and nearly always there is only what compilers put into every object and what
 * does nothing.  So it is found before the fork which of them has more, and a
 * worker calls that.
 *
 * The loader ends an object before those that it needs.  That cannot be seen if
 * only one has anything to do; if more have, or if the worker has loaded
 * something itself, it is the loader's work.
 */
#include "forkserver/preload.h"

#include <string.h>

/* Not in every C library; then its address is NULL. */
extern char __libc_single_threaded __attribute__((weak));

static struct preload_object *objects;
static size_t object_count;		  /* 0: the loader has to do it */
static const struct preload_object *busy; /* has something to do; or NULL */

#if defined(__x86_64__) && defined(__LP64__)
#define ANY  -1
#define ANY4 ANY, ANY, ANY, ANY

/* endbr64, which may stand before all others. */
static const short landing[] = {0xf3, 0x0f, 0x1e, 0xfa};
/* _fini of crti.o */
static const short fini[] = {
    0x48, 0x83, 0xec, 0x08, 0x48, 0x83, 0xc4, 0x08, 0xc3};
/*
 * __do_global_dtors_aux of crtbeginS.o.  It runs the handlers that the object
 * has registered for its end; exit has done so by then.
 */
static const short aux[] = {0x80, 0x3d, ANY4, 0x00, 0x75, 0x2b, 0x55, 0x48,
    0x83, 0x3d, ANY4, 0x00, 0x48, 0x89, 0xe5, 0x74, 0x0c, 0x48, 0x8b, 0x3d,
    ANY4, 0xe8, ANY4, 0xe8, ANY4, 0xc6, 0x05, ANY4, 0x01, 0x5d, 0xc3};

static bool
has_code(const unsigned char *at, const short *code, size_t size)
{
	for (size_t i = 0; i < size / sizeof(*code); i++)
		if (code[i] != ANY && code[i] != at[i])
			return false;
	return true;
}

/* Whether it is known that the function does nothing. */
static bool
is_idle(void (*function)(void))
{
	const unsigned char *at;

	memcpy(&at, &function, sizeof(at));
	if (has_code(at, landing, sizeof(landing)))
		at += sizeof(landing) / sizeof(*landing);
	return has_code(at, fini, sizeof(fini)) ||
	    has_code(at, aux, sizeof(aux));
}
#else
static bool
is_idle(void (*function)(void))
{
	(void)function;
	return false;
}
#endif

/* Fills `o`; whether there is anything to do at its end. */
static bool
look_at(struct preload_object *o, const struct link_map *map)
{
	ElfW(Addr) functions = 0, last = 0;

	*o =
	    (struct preload_object){map, map->l_addr, map->l_ld, NULL, 0, NULL};
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_FINI_ARRAY)
			functions = map->l_addr + d->d_un.d_ptr;
		else if (d->d_tag == DT_FINI_ARRAYSZ)
			o->function_count = d->d_un.d_val / sizeof(functions);
		else if (d->d_tag == DT_FINI)
			last = map->l_addr + d->d_un.d_ptr;
	}
	memcpy(&o->functions, &functions, sizeof(functions));
	memcpy(&o->last, &last, sizeof(last));
	for (size_t i = 0; i < o->function_count; i++)
		if (!is_idle(o->functions[i]))
			return true;
	return o->last != NULL && !is_idle(o->last);
}

void
preload_note_objects(struct preload_object *room)
{
	size_t n = 0, busy_count = 0;

	objects = room;
	for (const struct link_map *m = _r_debug.r_map; m != NULL;
	     m = m->l_next) {
		if (n == PRELOAD_OBJECTS_MAX)
			return;
		if (look_at(&objects[n], m)) {
			busy = &objects[n];
			busy_count++;
		}
		n++;
	}
	if (busy_count <= 1 && !preload.had_early_handler)
		object_count = n;
}

bool
preload_is_single_threaded(void)
{
	return &__libc_single_threaded != NULL && __libc_single_threaded;
}

/* Other namespaces, which dlmopen(3) makes, are told of by the version. */
static bool
are_the_same(void)
{
	const struct link_map *m = _r_debug.r_map;

	if (!preload_is_single_threaded() || _r_debug.r_version > 1)
		return false;
	for (size_t i = 0; i < object_count; i++, m = m->l_next)
		if (m == NULL || m != objects[i].map ||
		    m->l_addr != objects[i].base ||
		    m->l_ld != objects[i].dynamic)
			return false;
	return m == NULL;
}

static void
finish_objects(void)
{
	if (object_count == 0 || !are_the_same()) {
		preload.loader_finish();
		return;
	}
	if (busy == NULL)
		return;
	for (size_t i = busy->function_count; i-- > 0;)
		busy->functions[i]();
	if (busy->last != NULL)
		busy->last();
}

void
preload_finish(void)
{
	finish_objects();
	preload_note_pages(true);
}
