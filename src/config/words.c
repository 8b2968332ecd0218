/*
 * words: lists of words.  Blanks separate them; "double quotes" keep them
 * together, and inside those \ takes the next character as it is.
 *
 * Invariant: what words_print writes, words_parse reads back.  For that, no
 * ';' may follow a blank, since there a comment begins.
 */
#include "config/options.h"

#include <stdlib.h>
#include <string.h>

void *
array_add(void *items, size_t *count, size_t size)
{
	char *bigger;

	if ((bigger = realloc(items, (*count + 1) * size)) == NULL)
		return NULL;
	memset(bigger + *count * size, 0, size);
	(*count)++;
	return bigger;
}

int
list_add(struct config_list *list, const char *text, size_t length)
{
	char *copy, **items;

	if ((copy = malloc(length + 1)) == NULL)
		return -1;
	memcpy(copy, text, length);
	copy[length] = '\0';
	items = array_add(list->items, &list->count, sizeof(*items));
	if (items == NULL) {
		free(copy);
		return -1;
	}
	list->items = items;
	items[list->count - 1] = copy;
	return 0;
}

void
list_fini(struct config_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	memset(list, 0, sizeof(*list));
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * read_word: the word at `text`, without its quotes, to `word`.  Returns what
 * follows it, or NULL if a quote is not closed.
 */
static const char *
read_word(const char *text, char *word)
{
	bool quoted = false;

	for (; *text != '\0' && (quoted || !is_blank(*text)); text++) {
		if (*text == '"') {
			quoted = !quoted;
			continue;
		}
		if (quoted && *text == '\\' && text[1] != '\0')
			text++;
		*word++ = *text;
	}
	*word = '\0';
	return quoted ? NULL : text;
}

int
words_parse(
    struct config_list *list, const char *text, char why[OPTION_WHY_SIZE])
{
	char word[PARSE_LINE_MAX + 1];

	if (strlen(text) > PARSE_LINE_MAX)
		return option_fail(why, "is too long");
	for (;;) {
		while (is_blank(*text))
			text++;
		if (*text == '\0')
			return 0;
		if ((text = read_word(text, word)) == NULL)
			return option_fail(why,
			    "a double quote is not closed (\" ;\" begins a "
			    "comment, in quotes too: write \" \\;\")");
		if (list_add(list, word, strlen(word)) == -1)
			return option_fail(why, "out of memory");
	}
}

static bool
needs_quotes(const char *word)
{
	return *word == '\0' || *word == ';' || strpbrk(word, " \t\"") != NULL;
}

/* write_word: to `out` if it is not NULL.  Returns the bytes. */
static size_t
write_word(const char *word, FILE *out)
{
	bool quoted = needs_quotes(word);
	size_t length = quoted ? 2 : 0;
	char before = '"';

	if (quoted && out != NULL)
		putc('"', out);
	for (; *word != '\0'; before = *word++) {
		if (quoted &&
		    (*word == '"' || *word == '\\' ||
			(*word == ';' && is_blank(before)))) {
			if (out != NULL)
				putc('\\', out);
			length++;
		}
		if (out != NULL)
			putc(*word, out);
		length++;
	}
	if (quoted && out != NULL)
		putc('"', out);
	return length;
}

void
words_print(const struct config_list *list, FILE *out)
{
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			putc(' ', out);
		write_word(list->items[i], out);
	}
}

size_t
words_length(const struct config_list *list)
{
	size_t length = list->count;

	for (size_t i = 0; i < list->count; i++)
		length += write_word(list->items[i], NULL);
	return length > 0 ? length - 1 : 0;
}
