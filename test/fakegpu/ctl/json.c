/* Owns reading JSON: objects, arrays, strings without \u escapes, numbers, true, false, null. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 16

struct reader {
    char *at;
    int line;
    int depth;
    const char *why;
};

static struct json *value(struct reader *r);

static void skip(struct reader *r)
{
    for (; *r->at == ' ' || *r->at == '\t' || *r->at == '\r' || *r->at == '\n'; r->at++)
        r->line += *r->at == '\n';
}

static struct json *fail(struct reader *r, const char *why)
{
    if (r->why == NULL)
        r->why = why;
    return NULL;
}

static char unescaped(char c)
{
    const char *from = "\"\\/nt", *to = "\"\\/\n\t";
    const char *p = c == '\0' ? NULL : strchr(from, c);

    return p == NULL ? '\0' : to[p - from];
}

/* The string's text, written over its own source. Precondition: at stands on the quote. */
static char *string(struct reader *r)
{
    char *start = ++r->at, *out = start;

    for (; *r->at != '"'; r->at++) {
        if ((unsigned char)*r->at < 0x20)
            return (char *)fail(r, "string is not closed");
        if (*r->at == '\\') {
            *out = unescaped(*++r->at);
            if (*out++ == '\0')
                return (char *)fail(r, "unknown escape in string");
            continue;
        }
        *out++ = *r->at;
    }
    r->at++;
    *out = '\0';
    return start;
}

static struct json *members(struct reader *r, struct json *v, char close)
{
    struct json **tail = &v->child;

    r->at++;
    skip(r);
    if (*r->at == close) {
        r->at++;
        return v;
    }
    for (;;) {
        char *key = NULL;

        skip(r);
        if (close == '}') {
            if (*r->at != '"' || (key = string(r)) == NULL)
                return fail(r, "member without a quoted name");
            skip(r);
            if (*r->at++ != ':')
                return fail(r, "member without a colon");
        }
        *tail = value(r);
        if (*tail == NULL)
            return NULL;
        (*tail)->key = key;
        tail = &(*tail)->next;
        skip(r);
        if (*r->at == close) {
            r->at++;
            return v;
        }
        if (*r->at++ != ',')
            return fail(r, "expected a comma or the end of the list");
    }
}

static struct json *word(struct reader *r, struct json *v)
{
    static const struct {
        const char *text;
        enum json_kind kind;
        bool boolean;
    } words[] = {
        {"true", JSON_BOOL, true}, {"false", JSON_BOOL, false}, {"null", JSON_NULL, false}};
    char *end;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i].text);
        if (strncmp(r->at, words[i].text, len) == 0) {
            r->at += len;
            v->kind = words[i].kind;
            v->boolean = words[i].boolean;
            return v;
        }
    }
    v->kind = JSON_NUMBER;
    v->number = strtod(r->at, &end);
    if (end == r->at)
        return fail(r, "expected a value");
    r->at = end;
    return v;
}

static struct json *value(struct reader *r)
{
    struct json *v = calloc(1, sizeof(*v)), *done;

    skip(r);
    if (v == NULL || ++r->depth > DEPTH_MAX) {
        free(v);
        return fail(r, "nested too deeply");
    }
    if (*r->at == '{' || *r->at == '[') {
        v->kind = *r->at == '{' ? JSON_OBJECT : JSON_ARRAY;
        done = members(r, v, *r->at == '{' ? '}' : ']');
    } else if (*r->at == '"') {
        v->kind = JSON_STRING;
        v->text = string(r);
        done = v->text == NULL ? NULL : v;
    } else {
        done = word(r, v);
    }
    r->depth--;
    if (done == NULL)
        json_free(v);
    return done;
}

struct json *json_parse(char *text, const char **why, int *line)
{
    struct reader r = {.at = text, .line = 1};
    struct json *v = value(&r);

    skip(&r);
    if (v != NULL && *r.at != '\0') {
        fail(&r, "text after the document");
        json_free(v);
        v = NULL;
    }
    *why = r.why;
    *line = r.line;
    return v;
}

void json_free(struct json *v)
{
    while (v != NULL) {
        struct json *next = v->next;

        json_free(v->child);
        free(v);
        v = next;
    }
}

const struct json *json_get(const struct json *object, const char *key)
{
    for (const struct json *m = object == NULL ? NULL : object->child; m != NULL; m = m->next) {
        if (m->key != NULL && strcmp(m->key, key) == 0)
            return m;
    }
    return NULL;
}
