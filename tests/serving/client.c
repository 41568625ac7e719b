/* A client without Python: WAV files in, label and score of each task out, through TensorFlow's C API.
 *
 *     client MODEL FILE... [-- FILE...]...
 *
 * MODEL is an export's folder. The files up to a "--" are one request, a batch, as a server would get it. For each file and task
 * a line is printed: file, task, label, score (or file, task, value), parted by tabs. A request that fails prints the server's
 * words to stderr; those after it are still answered, and the exit code is 1.
 *
 * Build (T = the folder of the installed Python package tensorflow, which holds headers and libraries):
 *     gcc client.c -o client -I$T/include -L$T -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 -Wl,-rpath,$T
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

#define MOST_OUTPUTS 64
#define SIGNATURE "serving_default"

/* ---- what the model says of its tensors: a walk through the few fields of a MetaGraphDef (Protocol Buffers) ---- */

enum { SIGNATURE_DEF = 5, KEY = 1, VALUE = 2, INPUTS = 1, OUTPUTS = 2, TENSOR_NAME = 1 };

typedef struct {
  const uint8_t *at, *end;
} Span;

static void fail(const char *what, const char *which) {
  fprintf(stderr, "%s%s%s\n", what, *which ? ": " : "", which);
  exit(2);
}

static uint64_t varint(Span *s) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && s->at < s->end; shift += 7) {
    uint8_t byte = *s->at++;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return value;
  }
  fail("damaged MetaGraphDef", "");
  return 0;
}

/* The next field of a message: its number, and its contents where these are bytes. 0 at the end. */
static uint32_t next_field(Span *s, Span *contents) {
  if (s->at >= s->end) return 0;
  uint64_t tag = varint(s), size;
  contents->at = contents->end = s->at;
  switch (tag & 7) {
    case 0: varint(s); return (uint32_t)(tag >> 3);
    case 1: size = 8; break;
    case 2: size = varint(s); break;
    case 5: size = 4; break;
    default: size = UINT64_MAX;
  }
  if (size > (uint64_t)(s->end - s->at)) fail("damaged MetaGraphDef", "");
  contents->at = s->at;
  contents->end = s->at += size;
  return (uint32_t)(tag >> 3);
}

static Span field(Span message, uint32_t number) {
  Span contents, found = {NULL, NULL};
  for (uint32_t n; (n = next_field(&message, &contents));)
    if (n == number) found = contents;
  return found;
}

static char *text(Span s) {
  size_t size = (size_t)(s.end - s.at);
  char *copy = calloc(size + 1, 1);
  if (size) memcpy(copy, s.at, size);
  return copy;
}

typedef struct {
  char *name[MOST_OUTPUTS]; /* as the signature calls it */
  TF_Output tensor[MOST_OUTPUTS];
  int count;
} Ends;

static Ends ends(Span signature, uint32_t which, TF_Graph *graph) {
  Ends found = {.count = 0};
  Span entry;
  for (uint32_t n; (n = next_field(&signature, &entry));) {
    if (n != which) continue;
    if (found.count == MOST_OUTPUTS) fail("too many outputs", "");
    char *tensor = text(field(field(entry, VALUE), TENSOR_NAME)), *colon = strrchr(tensor, ':');
    if (!colon) fail("no name of a tensor", tensor);
    *colon = 0;
    TF_Output end = {TF_GraphOperationByName(graph, tensor), atoi(colon + 1)};
    if (!end.oper) fail("the graph lacks the operation", tensor);
    found.name[found.count] = text(field(entry, KEY));
    found.tensor[found.count++] = end;
    free(tensor);
  }
  return found;
}

/* ---- the model ---- */

typedef struct {
  TF_Graph *graph;
  TF_Session *session;
  Ends inputs, outputs;
} Model;

static Model load(const char *folder, TF_Status *status) {
  Model model = {.graph = TF_NewGraph()};
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Buffer *meta = TF_NewBuffer();
  const char *tags[] = {"serve"};
  model.session = TF_LoadSessionFromSavedModel(options, NULL, folder, tags, 1, model.graph, meta, status);
  if (TF_GetCode(status) != TF_OK) fail("not loaded", TF_Message(status));
  Span whole = {meta->data, (const uint8_t *)meta->data + meta->length}, entry;
  for (uint32_t n; (n = next_field(&whole, &entry));) {
    if (n != SIGNATURE_DEF) continue;
    char *name = text(field(entry, KEY));
    if (!strcmp(name, SIGNATURE)) {
      model.inputs = ends(field(entry, VALUE), INPUTS, model.graph);
      model.outputs = ends(field(entry, VALUE), OUTPUTS, model.graph);
    }
    free(name);
  }
  if (model.inputs.count != 1 || !model.outputs.count) fail("expected one input of the signature", SIGNATURE);
  TF_DeleteBuffer(meta);
  TF_DeleteSessionOptions(options);
  return model;
}

static void release(Model *model, TF_Status *status) {
  for (int i = 0; i < model->inputs.count; i++) free(model->inputs.name[i]);
  for (int i = 0; i < model->outputs.count; i++) free(model->outputs.name[i]);
  TF_CloseSession(model->session, status);
  TF_DeleteSession(model->session, status);
  TF_DeleteGraph(model->graph);
}

/* ---- one request ---- */

static int read_file(const char *path, TF_TString *into) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) {
    if (file) fclose(file);
    return 0;
  }
  long size = ftell(file);
  rewind(file);
  char *bytes = malloc(size > 0 ? (size_t)size : 1);
  int whole = bytes && size >= 0 && fread(bytes, 1, (size_t)size, file) == (size_t)size;
  if (whole) TF_StringCopy(into, bytes, (size_t)size);
  free(bytes);
  fclose(file);
  return whole;
}

static TF_Tensor *answer(const Model *model, TF_Tensor **values, const char *task, const char *what) {
  for (int i = 0; i < model->outputs.count; i++) {
    const char *name = model->outputs.name[i], *slash = strrchr(name, '/');
    if (slash && !strcmp(slash + 1, what) && strlen(task) == (size_t)(slash - name) && !strncmp(name, task, slash - name))
      return values[i];
  }
  return NULL;
}

static void print_answers(const Model *model, TF_Tensor **values, int count, char **paths) {
  for (int file = 0; file < count; file++) {
    for (int i = 0; i < model->outputs.count; i++) {
      char task[256];
      snprintf(task, sizeof task, "%s", model->outputs.name[i]);
      char *slash = strrchr(task, '/');
      if (!slash) continue;
      *slash++ = 0;
      if (!strcmp(slash, "value")) {
        printf("%s\t%s\t%.7f\n", paths[file], task, ((const float *)TF_TensorData(values[i]))[file]);
      } else if (!strcmp(slash, "label")) {
        const TF_TString *label = (const TF_TString *)TF_TensorData(values[i]) + file;
        TF_Tensor *score = answer(model, values, task, "score");
        if (!score) fail("a label without a score", task);
        printf("%s\t%s\t%.*s\t%.7f\n", paths[file], task, (int)TF_StringGetSize(label), TF_StringGetDataPointer(label),
               ((const float *)TF_TensorData(score))[file]);
      }
    }
  }
}

/* 1 where the request was answered. */
static int ask(const Model *model, int count, char **paths, TF_Status *status) {
  int64_t shape[] = {count};
  TF_Tensor *audio = TF_AllocateTensor(TF_STRING, shape, 1, count * sizeof(TF_TString)), *values[MOST_OUTPUTS] = {NULL};
  TF_TString *clips = TF_TensorData(audio);
  int good = 1;
  for (int i = 0; i < count; i++) {
    TF_StringInit(&clips[i]);
    if (!read_file(paths[i], &clips[i])) {
      fprintf(stderr, "can't be read: %s\n", paths[i]);
      good = 0;
    }
  }
  if (good) {
    TF_SessionRun(model->session, NULL, model->inputs.tensor, &audio, 1, model->outputs.tensor, values, model->outputs.count,
                  NULL, 0, NULL, status);
    good = TF_GetCode(status) == TF_OK;
    if (good)
      print_answers(model, values, count, paths);
    else
      fprintf(stderr, "%s\n", TF_Message(status));
  }
  for (int i = 0; i < count; i++) TF_StringDealloc(&clips[i]);
  for (int i = 0; i < model->outputs.count; i++)
    if (values[i]) TF_DeleteTensor(values[i]);
  TF_DeleteTensor(audio);
  return good;
}

int main(int argc, char **argv) {
  if (argc < 3) fail("usage", "client MODEL FILE... [-- FILE...]...");
  TF_Status *status = TF_NewStatus();
  Model model = load(argv[1], status);
  int failed = 0;
  for (int first = 2, i = 2; i <= argc; i++) {
    if (i < argc && strcmp(argv[i], "--")) continue;
    if (!ask(&model, i - first, argv + first, status)) failed = 1;
    fflush(stdout);
    first = i + 1;
  }
  release(&model, status);
  TF_DeleteStatus(status);
  return failed;
}
