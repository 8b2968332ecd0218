/*
 * hello: the smallest CGI program in C, dynamically linked as most are.
 */
#include <stdio.h>

int
main(void)
{
	puts("Content-Type: text/plain\n\nhello");
	return 0;
}
