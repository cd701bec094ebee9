/* A host of the library, in C as most hosts are: it forks, unloads, finalizes under threads, and lives
 * with another libcrypto. `host MODULE MODE` ends with status 0, or says what went wrong and where.
 * The configuration comes by KEYSTEAD_PKCS11_CONF and has one token with the user's PIN 1234. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <dirent.h>
#include <execinfo.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

typedef unsigned long ul;
typedef struct { ul type; const void *value; ul len; } attribute;
typedef struct { ul id; void *parameter; ul len; } mechanism;
typedef struct { void *functions[4]; ul flags; void *reserved; } init_args;

enum { OK = 0, ALREADY = 0x191, NOT_INITIALIZED = 0x190, SESSION_INVALID = 0xB3 };

#define CHECK(what, wanted)                                                              \
    do {                                                                                 \
        ul got = (ul)(what);                                                             \
        if (got != (ul)(wanted)) {                                                       \
            fprintf(stderr, "%d %s:%d: %s is %#lx, not %#lx\n", getpid(), __FILE__,      \
                    __LINE__, #what, got, (ul)(wanted));                                 \
            _exit(1);                                                                    \
        }                                                                                \
    } while (0)

static const char *path;
static void *library;
static ul (*Initialize)(void *);
static ul (*Finalize)(void *);
static ul (*GetInfo)(void *);
static ul (*GetSlotList)(unsigned char, ul *, ul *);
static ul (*OpenSession)(ul, ul, void *, void *, ul *);
static ul (*Login)(ul, ul, const char *, ul);
static ul (*GenerateKey)(ul, mechanism *, attribute *, ul, ul *);
static ul (*SignInit)(ul, mechanism *, ul);
static ul (*Sign)(ul, const void *, ul, void *, ul *);
static ul (*DigestInit)(ul, mechanism *);
static ul (*DigestUpdate)(ul, const void *, ul);
static ul (*DigestFinal)(ul, void *, ul *);
static ul (*GenerateRandom)(ul, void *, ul);
static ul (*Logout)(ul);
static ul (*DestroyObject)(ul, ul);
static ul (*FindObjectsInit)(ul, attribute *, ul);
static ul (*FindObjects)(ul, ul *, ul, ul *);
static ul (*FindObjectsFinal)(ul);
static ul (*WaitForSlotEvent)(ul, ul *, void *);
static ul (*SetPIN)(ul, const char *, ul, const char *, ul);
static ul (*InitToken)(ul, const char *, ul, const char *);

static void load(void) {
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        _exit(1);
    }
#define F(name) CHECK((*(void **)&name = dlsym(library, "C_" #name)) != NULL, 1)
    F(Initialize); F(Finalize); F(GetInfo); F(GetSlotList); F(OpenSession); F(Login);
    F(GenerateKey); F(SignInit); F(Sign); F(DigestInit); F(DigestUpdate); F(DigestFinal);
    F(GenerateRandom); F(Logout); F(DestroyObject); F(FindObjectsInit); F(FindObjects);
    F(FindObjectsFinal); F(WaitForSlotEvent); F(SetPIN); F(InitToken);
#undef F
}

static ul start(void) {
    init_args args = { { 0 }, 2 /* CKF_OS_LOCKING_OK */, NULL };
    return Initialize(&args);
}

/* A session, with the user logged in. */
static ul enter(void) {
    ul slot, count = 1, session;
    CHECK(GetSlotList(1, &slot, &count), OK);
    CHECK(OpenSession(slot, 6, NULL, NULL, &session), OK);
    CHECK(Login(session, 1, "1234", 4), OK);
    return session;
}

static ul key(ul session) {
    unsigned char yes = 1;
    ul len = 32, made;
    attribute template[] = { { 0x161, &len, sizeof len }, { 0x108, &yes, 1 }, { 0x10A, &yes, 1 } };
    mechanism mech = { 0x350 /* CKM_GENERIC_SECRET_KEY_GEN */, NULL, 0 };
    CHECK(GenerateKey(session, &mech, template, 3, &made), OK);
    return made;
}

static ul sign(ul session, ul key) {
    mechanism mech = { 0x251 /* CKM_SHA256_HMAC */, NULL, 0 };
    unsigned char mac[32];
    ul len = sizeof mac, rv = SignInit(session, &mech, key);
    return rv ? rv : Sign(session, "data", 4, mac, &len);
}

/* All that a process does with a token. */
static void work(void) {
    CHECK(start(), OK);
    ul session = enter();
    CHECK(sign(session, key(session)), OK);
    CHECK(Finalize(NULL), OK);
}

static pid_t child(void) {
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0, 1);
    if (pid == 0) alarm(20);
    return pid;
}

static void wait_for(pid_t pid) {
    int status;
    CHECK(waitpid(pid, &status, 0), pid);
    CHECK(status, 0);
}

static void fork_before_login(void) {
    CHECK(start(), OK);
    pid_t pid = child();
    if (pid == 0) {
        char info[88];
        CHECK(GetInfo(info), NOT_INITIALIZED);
        CHECK(Finalize(NULL), NOT_INITIALIZED);
        work();
        exit(0);
    }
    wait_for(pid);
    ul session = enter();
    CHECK(sign(session, key(session)), OK);
    CHECK(Finalize(NULL), OK);
}

static void fork_after_login(void) {
    CHECK(start(), OK);
    ul session = enter(), own = key(session), len = 32;
    mechanism sha = { 0x250, NULL, 0 };
    unsigned char digest[32];
    CHECK(DigestInit(session, &sha), OK);
    CHECK(DigestUpdate(session, "abc", 3), OK);
    for (int round = 0; round < 3; round++) {
        pid_t pid = child();
        if (pid == 0) {
            if (round == 1) exit(0); /* one that never speaks to us, but runs all exit handlers */
            CHECK(DigestUpdate(session, "x", 1), NOT_INITIALIZED);
            CHECK(sign(session, own), NOT_INITIALIZED);
            CHECK(start(), OK);
            CHECK(start(), ALREADY);
            CHECK(sign(session + 100, own), SESSION_INVALID);
            ul mine = enter(), made = key(mine);
            pid_t grandchild = child();
            if (grandchild == 0) {
                CHECK(sign(mine, made), NOT_INITIALIZED);
                work();
                exit(0);
            }
            wait_for(grandchild);
            CHECK(sign(mine, made), OK);
            if (round == 2) exit(0); /* without C_Finalize */
            CHECK(Finalize(NULL), OK);
            exit(0);
        }
        wait_for(pid);
        CHECK(sign(session, own), OK);
    }
    CHECK(DigestFinal(session, digest, &len), OK);
    CHECK(digest[0] == 0xba && digest[1] == 0x78 && digest[31] == 0xad, 1); /* SHA-256 of abc */
    CHECK(Finalize(NULL), OK);
}

static void fork_and_exec(char *self) {
    CHECK(start(), OK);
    ul session = enter(), own = key(session);
    for (int i = 0; i < 3; i++) {
        pid_t pid = child();
        if (pid == 0) {
            execl(self, self, path, "work", (char *)NULL);
            _exit(9);
        }
        CHECK(sign(session, own), OK);
        wait_for(pid);
    }
    CHECK(Finalize(NULL), OK);
}

static atomic_int stop;
static atomic_int failures;

struct place { ul session, key; };

static void *hammer(void *arg) {
    ul session = ((struct place *)arg)->session, made = ((struct place *)arg)->key;
    unsigned char bytes[32];
    while (!stop) {
        ul rv = sign(session, made);
        if (rv == OK) rv = GenerateRandom(session, bytes, sizeof bytes);
        if (rv == NOT_INITIALIZED || rv == SESSION_INVALID) break;
        if (rv != OK) {
            fprintf(stderr, "a thread got %#lx\n", rv);
            failures++;
            break;
        }
    }
    return NULL;
}

enum { THREADS = 6 };

static void spawn(pthread_t *threads, struct place *places) {
    ul slot, count = 1;
    CHECK(GetSlotList(1, &slot, &count), OK);
    places[0].session = enter();
    for (int i = 1; i < THREADS; i++)
        CHECK(OpenSession(slot, 6, NULL, NULL, &places[i].session), OK);
    for (int i = 0; i < THREADS; i++) places[i].key = key(places[i].session);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, hammer, &places[i]), 0);
}

/* Threads hold locks of the library at the moment of each fork: the child may ask us whether it is
 * initialised, and starts another program. */
static void fork_under_threads(char *self) {
    pthread_t threads[THREADS];
    struct place places[THREADS];
    CHECK(start(), OK);
    spawn(threads, places);
    for (int i = 0; i < 20; i++) {
        pid_t pid = child();
        if (pid == 0) {
            char info[88];
            CHECK(GetInfo(info), NOT_INITIALIZED);
            CHECK(sign(places[0].session, places[0].key), NOT_INITIALIZED);
            execl(self, self, path, "work", (char *)NULL);
            _exit(9);
        }
        wait_for(pid);
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(failures, 0);
    CHECK(Finalize(NULL), OK);
}

#include "host_forks.h"
#include "host_handlers.h"

static void threads_outlive_finalize(void) {
    pthread_t threads[THREADS];
    struct place places[THREADS];
    for (int round = 0; round < 10; round++) {
        CHECK(start(), OK);
        spawn(threads, places);
        usleep(20000);
        CHECK(Finalize(NULL), OK);
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
        CHECK(failures, 0);
    }
}

/* The process ends while threads are in the library. */
static void exit_under_threads(int finalize) {
    pthread_t threads[THREADS];
    struct place places[THREADS];
    CHECK(start(), OK);
    spawn(threads, places);
    usleep(50000);
    if (finalize) CHECK(Finalize(NULL), OK);
    exit(0);
}

static void unload(void) {
    for (int i = 0; i < 20; i++) {
        if (i) load();
        work();
        CHECK(dlclose(library), 0);
    }
    load();
    CHECK(start(), OK);
    ul session = enter();
    CHECK(sign(session, key(session)), OK);
    CHECK(dlclose(library), 0); /* without C_Finalize, as careless hosts do */
}

/* A thread that has used the library ends after it was unloaded: its thread-local values must not
 * lead into what is no longer mapped. */
static pthread_barrier_t barrier;

static void *user(void *arg) {
    unsigned char bytes[16];
    CHECK(GenerateRandom(*(ul *)arg, bytes, sizeof bytes), OK);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void unload_before_thread_ends(void) {
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    CHECK(start(), OK);
    ul session = enter();
    CHECK(pthread_create(&thread, NULL, user, &session), 0);
    pthread_barrier_wait(&barrier);
    CHECK(Finalize(NULL), OK);
    CHECK(dlclose(library), 0);
    pthread_barrier_wait(&barrier);
    CHECK(pthread_join(thread, NULL), 0);
}

/* Hooks that AWS-LC would bind to, were they not hidden in the library. */
static atomic_int hooked;
__attribute__((visibility("default"))) void *OPENSSL_memory_alloc(size_t n) {
    hooked++;
    return malloc(n);
}
__attribute__((visibility("default"))) void OPENSSL_memory_free(void *p) {
    hooked++;
    free(p);
}
__attribute__((visibility("default"))) size_t OPENSSL_memory_get_size(void *p) {
    (void)p;
    hooked++;
    return 0;
}
__attribute__((visibility("default"))) void *OPENSSL_memory_realloc(void *p, size_t n) {
    hooked++;
    return realloc(p, n);
}

/* SHA-256 of a host's own cryptographic library. */
static unsigned char *(*openssl)(const void *, size_t, unsigned char *);
static int (*gnutls)(int, const void *, size_t, void *);
static int (*nss)(int, unsigned char *, const unsigned char *, int);

static void theirs(const void *data, size_t len, unsigned char *to) {
    if (openssl) openssl(data, len, to);
    if (gnutls) CHECK(gnutls(6 /* GNUTLS_DIG_SHA256 */, data, len, to), 0);
    if (nss) CHECK(nss(191 /* SEC_OID_SHA256 */, to, data, (int)len), 0);
}

static void *open_library(const char *name) {
    void *opened = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    if (!opened) {
        fprintf(stderr, "%s\n", dlerror());
        _exit(1);
    }
    return opened;
}

static void sha256_in_the_token(ul session, unsigned char *to) {
    mechanism sha = { 0x250, NULL, 0 };
    ul len = 32;
    CHECK(DigestInit(session, &sha), OK);
    CHECK(DigestUpdate(session, "abc", 3), OK);
    CHECK(DigestFinal(session, to, &len), OK);
}

/* The host's own library works before, amid and after the token's work. */
static void beside(const char *which) {
    void *crypto;
    if (!strcmp(which, "openssl")) {
        crypto = open_library("libcrypto.so.3");
        CHECK((*(void **)&openssl = dlsym(crypto, "SHA256")) != NULL, 1);
    } else if (!strcmp(which, "gnutls")) {
        crypto = open_library("libgnutls.so.30");
        CHECK((*(void **)&gnutls = dlsym(crypto, "gnutls_hash_fast")) != NULL, 1);
    } else {
        int (*begin)(const char *);
        crypto = open_library("libnss3.so");
        CHECK((*(void **)&begin = dlsym(crypto, "NSS_NoDB_Init")) != NULL, 1);
        CHECK((*(void **)&nss = dlsym(crypto, "PK11_HashBuf")) != NULL, 1);
        CHECK(begin(NULL), 0);
    }
    load();
    pthread_t threads[THREADS];
    struct place places[THREADS];
    unsigned char a[32], b[32];
    theirs("abc", 3, a);
    CHECK(start(), OK);
    spawn(threads, places);
    ul slot, n = 1, session;
    CHECK(GetSlotList(1, &slot, &n), OK);
    CHECK(OpenSession(slot, 6, NULL, NULL, &session), OK);
    for (int i = 0; i < 2000; i++) {
        memset(b, 0, sizeof b);
        theirs("abc", 3, b);
        CHECK(memcmp(a, b, 32), 0);
        sha256_in_the_token(session, b);
        CHECK(memcmp(a, b, 32), 0);
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(failures, 0);
    CHECK(Finalize(NULL), OK);
    theirs("abc", 3, b);
    CHECK(memcmp(a, b, 32), 0);
    CHECK(hooked, 0);
    CHECK(dlclose(library), 0);
    if (!nss) CHECK(dlclose(crypto), 0);
}

static int open_files(void) {
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(dir)) n++;
    closedir(dir);
    return n;
}

/* Round after round the same memory and the same files. What is kept for good is kept in the first ones. */
static void leaks_nothing(void) {
    /* What is freed counts as free at once, here and (by GLIBC_TUNABLES) in the threads' caches. */
    mallopt(M_MXFAST, 0);
    for (int i = 0; i < 10; i++) work();
    size_t before = mallinfo2().uordblks;
    int files = open_files();
    for (int i = 0; i < 60; i++) work();
    size_t after = mallinfo2().uordblks;
    CHECK(open_files(), files);
    if (after > before + 8192) {
        fprintf(stderr, "60 rounds keep %zu bytes\n", after - before);
        _exit(1);
    }
    CHECK(start(), OK);
    ul session = enter(), made = key(session);
    for (int i = 0; i < 200; i++) CHECK(sign(session, made), OK);
    before = mallinfo2().uordblks;
    for (int i = 0; i < 20000; i++) CHECK(sign(session, made), OK);
    after = mallinfo2().uordblks;
    if (after > before + 8192) {
        fprintf(stderr, "20000 signatures keep %zu bytes\n", after - before);
        _exit(1);
    }
    CHECK(Finalize(NULL), OK);
}

/* Until it is killed: says each PIN that was acknowledged. */
static void change_pins(const char *now) {
    const char *pins[] = { "1234", "another-pin" };
    int at = !strcmp(now, pins[1]);
    CHECK(start(), OK);
    ul slot, n = 1, session;
    CHECK(GetSlotList(1, &slot, &n), OK);
    CHECK(OpenSession(slot, 6, NULL, NULL, &session), OK);
    CHECK(Login(session, 1, pins[at], strlen(pins[at])), OK);
    for (;; at = !at) {
        printf("%s\n", pins[at]);
        fflush(stdout);
        CHECK(SetPIN(session, pins[at], strlen(pins[at]), pins[!at], strlen(pins[!at])), OK);
    }
}

/* Until it is killed: says each initialisation that was acknowledged. */
static void init_tokens(void) {
    char label[33];
    CHECK(start(), OK);
    ul slot, n = 1;
    CHECK(GetSlotList(1, &slot, &n), OK);
    for (int i = 0;; i++) {
        snprintf(label, sizeof label, "%-32d", i);
        CHECK(InitToken(slot, "12345678", 8, label), OK);
        printf("%d\n", i);
        fflush(stdout);
    }
}

/* A hang is a failure, and says where. */
static void hangs(int number) {
    void *frames[40];
    (void)number;
    backtrace_symbols_fd(frames, backtrace(frames, 40), 2);
    _exit(14);
}

int main(int argc, char **argv) {
    CHECK(argc, 3);
    path = argv[1];
    const char *mode = argv[2];
    signal(SIGALRM, hangs);
    alarm(100);
    if (!strncmp(mode, "beside-", 7)) return beside(mode + 7), 0;
    load();
    if (!strcmp(mode, "work")) work();
    else if (!strcmp(mode, "leaks-nothing")) leaks_nothing();
    else if (!strncmp(mode, "change-pins-", 12)) change_pins(mode + 12);
    else if (!strcmp(mode, "init-tokens")) init_tokens();
    else if (!strcmp(mode, "fork-before-login")) fork_before_login();
    else if (!strcmp(mode, "fork-after-login")) fork_after_login();
    else if (!strcmp(mode, "fork-and-exec")) fork_and_exec(argv[0]);
    else if (!strcmp(mode, "fork-under-threads")) fork_under_threads(argv[0]);
    else if (!strcmp(mode, "fork-and-end")) fork_and_end();
    else if (!strcmp(mode, "fork-amid-work")) fork_amid_work(120);
    else if (!strcmp(mode, "fork-amid-work-long")) fork_amid_work(800);
    else if (!strcmp(mode, "fork-amid-a-long-call")) fork_amid_a_long_call();
    else if (!strcmp(mode, "fork-amid-handlers")) fork_amid_handlers();
    else if (!strcmp(mode, "fork-and-start-anew")) fork_and_start_anew();
    else if (!strcmp(mode, "fork-under-their-lock")) fork_under_their_lock();
    else if (!strcmp(mode, "fork-beside-handlers")) fork_beside_handlers();
    else if (!strcmp(mode, "fork-in-a-signal-handler")) fork_in_a_signal_handler(0);
    else if (!strcmp(mode, "fork-within-a-fork")) fork_in_a_signal_handler(1);
    else if (!strcmp(mode, "threads-outlive-finalize")) threads_outlive_finalize();
    else if (!strcmp(mode, "exit-under-threads")) exit_under_threads(0);
    else if (!strcmp(mode, "finalize-and-exit-under-threads")) exit_under_threads(1);
    else if (!strcmp(mode, "unload")) unload();
    else if (!strcmp(mode, "unload-before-thread-ends")) unload_before_thread_ends();
    else {
        fprintf(stderr, "no mode %s\n", mode);
        return 2;
    }
    return 0;
}
