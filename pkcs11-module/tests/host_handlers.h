/* Part of host.c: fork handlers of other libraries in the same process, which call the library, and a
 * fork out of a signal handler. */

static ul handlers_session, handlers_key;
static int handler_calls;
/* What the handler in the child of the library that was there first does. */
static int starts_in_child;

static void their_prepare(void) {
    char info[88];
    CHECK(GetInfo(info), OK);
    CHECK(sign(handlers_session, handlers_key), OK);
    handler_calls++;
}

static void their_parent(void) {
    char info[88];
    CHECK(GetInfo(info), OK);
    CHECK(sign(handlers_session, handlers_key), OK);
    handler_calls++;
}

static void their_child(void) {
    char info[88];
    handler_calls++;
    if (starts_in_child == 2) return; /* done by the one before */
    CHECK(GetInfo(info), NOT_INITIALIZED);
    CHECK(Finalize(NULL), NOT_INITIALIZED); /* as libp11 does */
    if (starts_in_child) {
        CHECK(start(), OK); /* as pkcs11-helper does */
        starts_in_child = 2;
    }
}

/* One library registered its handlers before ours, another one after. */
static void fork_amid_handlers(void) {
    pthread_t threads[THREADS];
    struct place places[THREADS];
    CHECK(pthread_atfork(their_prepare, their_parent, their_child), 0);
    CHECK(start(), OK);
    CHECK(pthread_atfork(their_prepare, their_parent, their_child), 0);
    handlers_session = enter();
    handlers_key = key(handlers_session);
    for (int round = 0; round < 6; round++) {
        if (round == 4) { /* other threads are at work inside */
            ul slot, n = 1;
            CHECK(GetSlotList(1, &slot, &n), OK);
            for (int i = 0; i < THREADS; i++) {
                CHECK(OpenSession(slot, 6, NULL, NULL, &places[i].session), OK);
                places[i].key = key(places[i].session);
                CHECK(pthread_create(&threads[i], NULL, hammer, &places[i]), 0);
            }
        }
        starts_in_child = round & 1;
        handler_calls = 0;
        pid_t pid = child();
        CHECK(handler_calls, 4);
        if (pid == 0) {
            if (starts_in_child) {
                CHECK(start(), ALREADY);
                CHECK(sign(enter(), handlers_key), 0x60 /* CKR_KEY_HANDLE_INVALID */);
                CHECK(Finalize(NULL), OK);
            }
            work();
            exit(0);
        }
        wait_for(pid);
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(failures, 0);
    CHECK(Finalize(NULL), OK);
}

/* A library that finalizes before each fork and starts again after it, on both sides. */
static void end_it(void) { CHECK(Finalize(NULL), OK); }
static void begin_it(void) { CHECK(start(), OK); }

static void fork_and_start_anew(void) {
    CHECK(start(), OK);
    CHECK(Finalize(NULL), OK);
    CHECK(start(), OK);
    CHECK(pthread_atfork(end_it, begin_it, begin_it), 0);
    for (int round = 0; round < 3; round++) {
        pid_t pid = child();
        CHECK(start(), ALREADY);
        ul session = enter();
        CHECK(sign(session, key(session)), OK);
        if (pid == 0) {
            CHECK(Finalize(NULL), OK);
            exit(0);
        }
        wait_for(pid);
    }
    CHECK(Finalize(NULL), OK);
}

/* A library that keeps others out by a lock of its own, around each call, and takes it before each fork
 * (as pkcs11-helper does): whoever has it may wait for the end of the fork, which waits for the lock. */
static pthread_mutex_t their_lock = PTHREAD_MUTEX_INITIALIZER;
static void take_their_lock(void) { CHECK(pthread_mutex_lock(&their_lock), 0); }
static void give_their_lock(void) { CHECK(pthread_mutex_unlock(&their_lock), 0); }
static void give_their_lock_and_start(void) {
    give_their_lock();
    CHECK(start(), OK);
}

static void *locked_hammer(void *arg) {
    struct place *place = arg;
    while (!stop) {
        take_their_lock();
        for (int i = 0; i < 20; i++) CHECK(sign(place->session, place->key), OK);
        give_their_lock();
        usleep(10);
    }
    return NULL;
}

static void fork_under_their_lock(void) {
    pthread_t threads[2];
    struct place places[2];
    CHECK(pthread_atfork(take_their_lock, give_their_lock, give_their_lock_and_start), 0);
    CHECK(start(), OK);
    ul slot, n = 1;
    CHECK(GetSlotList(1, &slot, &n), OK);
    places[0].session = enter();
    CHECK(OpenSession(slot, 6, NULL, NULL, &places[1].session), OK);
    for (int i = 0; i < 2; i++) {
        places[i].key = key(places[i].session);
        CHECK(pthread_create(&threads[i], NULL, locked_hammer, &places[i]), 0);
    }
    for (int round = 0; round < 8; round++) {
        usleep(3000);
        pid_t pid = child();
        if (pid == 0) {
            ul session = enter();
            CHECK(sign(session, key(session)), OK);
            CHECK(Finalize(NULL), OK);
            exit(0);
        }
        wait_for(pid);
    }
    stop = 1;
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    CHECK(Finalize(NULL), OK);
}

/* One thread's fork is between its handlers, and another library's handler is at work in the token there; a
 * second thread forks meanwhile. Its child finds the locks of that work, and is told so: it is refused at once,
 * or all is well with it, and it never hangs. */
static _Thread_local int works_in_handler, forks_beside;
static atomic_int in_handler, in_call, second_is_done;
static ul busy_session;

/* In the first thread: long calls with pauses, in which the second fork finds nobody inside. */
static void work_in_handler(void) {
    static unsigned char data[1 << 24];
    mechanism sha256 = { 0x250, NULL, 0 };
    if (!works_in_handler) return;
    in_handler = 1;
    for (int i = 0; i < 20 && !second_is_done; i++) {
        unsigned char hash[32];
        ul len = sizeof hash;
        CHECK(DigestInit(busy_session, &sha256), OK);
        in_call = 1;
        CHECK(DigestUpdate(busy_session, data, sizeof data), OK);
        in_call = 0;
        CHECK(DigestFinal(busy_session, hash, &len), OK);
        usleep(3000);
    }
    in_handler = 0;
}

/* In the second one, whose fork has found such a pause: the pause is over when it goes on. */
static void wait_for_a_call(void) {
    if (!forks_beside) return;
    while (in_handler && !in_call) usleep(100);
    usleep(1000);
}

static void *first_fork(void *arg) {
    (void)arg;
    works_in_handler = 1;
    pid_t pid = child();
    works_in_handler = 0;
    if (pid == 0) {
        work();
        exit(0);
    }
    wait_for(pid);
    return NULL;
}

static void fork_beside_handlers(void) {
    pthread_t first;
    int beside = 0, refused = 0;
    /* Before ours, so after ours at a fork. */
    CHECK(pthread_atfork(work_in_handler, NULL, NULL), 0);
    CHECK(pthread_atfork(wait_for_a_call, NULL, NULL), 0);
    CHECK(start(), OK);
    busy_session = enter();
    for (int round = 0; round < 8; round++) {
        second_is_done = in_handler = in_call = 0;
        CHECK(pthread_create(&first, NULL, first_fork, NULL), 0);
        while (!in_handler) usleep(100);
        forks_beside = 1;
        pid_t pid = child();
        forks_beside = 0;
        int was_beside = in_handler;
        if (pid == 0) {
            ul rv = start();
            if (rv == OK) {
                ul session = enter();
                CHECK(sign(session, key(session)), OK);
                CHECK(Finalize(NULL), OK);
            }
            CHECK(rv == OK || rv == 6 /* CKR_FUNCTION_FAILED */, 1);
            exit(rv == OK ? 0 : 100);
        }
        second_is_done = 1;
        int status;
        CHECK(waitpid(pid, &status, 0), pid);
        CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 100), 1);
        beside += was_beside;
        refused += WEXITSTATUS(status) == 100;
        CHECK(pthread_join(first, NULL), 0);
    }
    /* An older C library lets one fork in at a time, and then there is nothing beside. */
    CHECK(beside == 0 || refused > 0, 1);
    CHECK(Finalize(NULL), OK);
}

/* Forks out of a signal handler, most of them in the midst of AWS-LC's generator, which holds a lock
 * then. Such a child is refused, and it can exit, which runs all destructors. */
static atomic_int signals, refusals;

static void fork_now(int number) {
    (void)number;
    signals++;
    pid_t pid = child();
    if (pid == 0) {
        struct sigaction usual = { .sa_handler = SIG_DFL };
        sigaction(SIGPROF, &usual, NULL);
        ul rv = start();
        CHECK(rv == OK || rv == 6 /* CKR_FUNCTION_FAILED */, 1);
        exit(rv == OK ? 0 : 100);
    }
    int status;
    CHECK(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 100), 1);
    if (WEXITSTATUS(status) == 100) refusals++;
}

/* A library that forks a helper before each fork: it hears of quiet only if both forks found it. */
static int helping;
static void fork_a_helper(void) {
    if (helping) return;
    helping = 1;
    pid_t pid = child();
    if (pid == 0) _exit(0);
    wait_for(pid);
    helping = 0;
}

static void fork_in_a_signal_handler(int with_helper) {
    static unsigned char bytes[1 << 20];
    if (with_helper) CHECK(pthread_atfork(fork_a_helper, NULL, NULL), 0);
    CHECK(start(), OK);
    ul session = enter();
    struct sigaction action = { .sa_handler = fork_now, .sa_flags = SA_RESTART };
    struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };
    CHECK(sigaction(SIGPROF, &action, NULL), 0);
    CHECK(setitimer(ITIMER_PROF, &often, NULL), 0);
    while (signals < 40) CHECK(GenerateRandom(session, bytes, sizeof bytes), OK);
    CHECK(setitimer(ITIMER_PROF, &never, NULL), 0);
    CHECK(refusals > 20, 1); /* but for signals between two calls */
    CHECK(Finalize(NULL), OK);
}
