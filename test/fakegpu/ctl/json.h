/* A strict reader for small JSON files. Values point into the parsed document. */
#ifndef CTL_JSON_H
#define CTL_JSON_H

#include <stdbool.h>
#include <stddef.h>

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    bool boolean;
    double number;
    char *text;         /* JSON_STRING */
    char *key;          /* when it is a member of an object */
    struct json *child; /* first element or member */
    struct json *next;
};

/* The document, or NULL with *why saying what is wrong and *line where. Changes text in place. */
struct json *json_parse(char *text, const char **why, int *line);
void json_free(struct json *v);
const struct json *json_get(const struct json *object, const char *key);

#endif
