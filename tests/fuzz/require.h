/*
 * fuzz/require: what a fuzz target claims of the code.
 */
#ifndef FUZZ_REQUIRE_H
#define FUZZ_REQUIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(claim) require(claim, __FILE__, #claim)

/* require: say what does not hold, and abort, which the fuzzer keeps. */
static inline void
require(bool holds, const char *file, const char *claim)
{
	if (holds)
		return;
	fprintf(stderr, "%s: not so: %s\n", file, claim);
	abort();
}

#endif
