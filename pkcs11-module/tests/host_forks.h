/* Part of host.c: forks while others work, and a parent that ends first. */

/* A key that stays in the token. */
static ul token_key(ul session, const char *label) {
    unsigned char yes = 1;
    ul len = 32, made;
    attribute template[] = { { 0x161, &len, sizeof len }, { 0x1, &yes, 1 },
                             { 0x3, label, strlen(label) } };
    mechanism mech = { 0x350, NULL, 0 };
    CHECK(GenerateKey(session, &mech, template, 3, &made), OK);
    return made;
}

static ul count(ul session, const char *label) {
    attribute template[] = { { 0x3, label, strlen(label) } };
    ul found[8], n;
    CHECK(FindObjectsInit(session, template, 1), OK);
    CHECK(FindObjects(session, found, 8, &n), OK);
    CHECK(FindObjectsFinal(session), OK);
    return n;
}

/* A parent that has the token open, as nginx's master has, ends before its child. What the child made
 * afterwards is there: the child has locks on the store of its own. */
static void fork_and_end(void) {
    int ready[2], go[2];
    char byte = 0;
    CHECK(pipe(ready), 0);
    CHECK(pipe(go), 0);
    CHECK(start(), OK);
    ul session = enter();
    token_key(session, "parent's");
    pid_t pid = child();
    if (pid == 0) {
        CHECK(start(), OK);
        session = enter();
        CHECK(count(session, "parent's"), 1);
        token_key(session, "child's first");
        CHECK(write(ready[1], &byte, 1), 1);
        CHECK(read(go[0], &byte, 1), 1);
        token_key(session, "child's second");
        _exit(0);
    }
    CHECK(read(ready[0], &byte, 1), 1);
    CHECK(count(session, "child's first"), 1);
    CHECK(Finalize(NULL), OK);
    CHECK(write(go[1], &byte, 1), 1);
    wait_for(pid);
    CHECK(start(), OK);
    session = enter();
    CHECK(count(session, "parent's"), 1);
    CHECK(count(session, "child's first"), 1);
    CHECK(count(session, "child's second"), 1);
    CHECK(Finalize(NULL), OK);
}

/* What the threads do at the moment of a fork; their keys are public, for one of them logs in and out. */
static ul public_key(ul session, ul *made, unsigned char token) {
    unsigned char yes = 1, no = 0;
    ul len = 32;
    attribute template[] = { { 0x161, &len, sizeof len }, { 0x108, &yes, 1 }, { 0x2, &no, 1 },
                             { 0x1, &token, 1 } };
    mechanism mech = { 0x350, NULL, 0 };
    return GenerateKey(session, &mech, template, 4, made);
}

static void *brief(void *arg) {
    unsigned char bytes[32];
    CHECK(GenerateRandom(*(ul *)arg, bytes, sizeof bytes), OK);
    return NULL;
}

static void *labourer(void *arg) {
    long kind = (long)arg;
    ul slot, n = 1, session, made;
    unsigned char bytes[64];
    pthread_t thread;
    CHECK(GetSlotList(1, &slot, &n), OK);
    CHECK(OpenSession(slot, 6, NULL, NULL, &session), OK);
    CHECK(public_key(session, &made, 0), OK);
    while (!stop) {
        switch (kind) {
        case 0: CHECK(GenerateRandom(session, bytes, sizeof bytes), OK); break;
        case 1: CHECK(sign(session, made), OK); break;
        case 2: {
            ul rv = public_key(session, &made, 1);
            CHECK(rv == OK || rv == 0x101 /* not logged in */, 1);
            if (rv == OK) DestroyObject(session, made);
            break;
        }
        case 3:
            CHECK(Login(session, 1, "1234", 4), OK);
            CHECK(Logout(session), OK);
            break;
        default:
            CHECK(pthread_create(&thread, NULL, brief, &session), 0);
            pthread_join(thread, NULL);
        }
    }
    return NULL;
}

static void *waiter(void *arg) {
    ul slot;
    (void)arg;
    CHECK(WaitForSlotEvent(0, &slot, NULL), NOT_INITIALIZED);
    return NULL;
}

/* Children that work on without exec, and children that merely exit: the parent's threads are in the
 * library at that moment, the children must not wait for them. */
static void fork_amid_work(int rounds) {
    pthread_t threads[7];
    CHECK(start(), OK);
    for (long i = 0; i < 6; i++) CHECK(pthread_create(&threads[i], NULL, labourer, (void *)i), 0);
    CHECK(pthread_create(&threads[6], NULL, waiter, NULL), 0);
    usleep(100000);
    for (int i = 0; i < rounds; i++) {
        pid_t pid = child();
        if (pid == 0) {
            ul slot, n = 1, session;
            unsigned char bytes[32];
            stop = 1;
            if (i % 4 == 0) exit(0); /* all destructors, and no call before */
            CHECK(GetInfo(bytes), NOT_INITIALIZED);
            CHECK(start(), OK);
            if (i % 4 == 1) {
                session = enter();
                CHECK(sign(session, key(session)), OK);
                CHECK(DestroyObject(session, token_key(session, "mine")), OK);
            } else {
                CHECK(GetSlotList(1, &slot, &n), OK);
                CHECK(OpenSession(slot, 6, NULL, NULL, &session), OK);
                CHECK(GenerateRandom(session, bytes, sizeof bytes), OK);
            }
            if (i % 4 == 2) _exit(0);
            CHECK(Finalize(NULL), OK);
            exit(0);
        }
        wait_for(pid);
        usleep(i % 7 * 500);
    }
    stop = 1;
    for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
    CHECK(Finalize(NULL), OK);
    pthread_join(threads[6], NULL);
}

/* A call that a fork does not wait for: the child is refused at once, instead of hanging later. */
static void *long_call(void *arg) {
    struct {
        ul source; const void *salt; ul salt_len, iterations, prf; const void *prf_data; ul prf_len;
        const void *password; ul password_len;
    } parameters = { 1, "salt", 4, 200000000, 4, NULL, 0, "password", 8 };
    ul session = *(ul *)arg, len = 32, made;
    attribute template[] = { { 0x161, &len, sizeof len } };
    mechanism mech = { 0x3B0 /* CKM_PKCS5_PBKD2 */, &parameters, sizeof parameters };
    CHECK(GenerateKey(session, &mech, template, 1, &made), OK);
    fprintf(stderr, "%s: too short a call\n", __func__);
    _exit(1);
}

static void fork_amid_a_long_call(void) {
    pthread_t thread;
    CHECK(start(), OK);
    ul slot, n = 1, busy, session = enter();
    CHECK(GetSlotList(1, &slot, &n), OK);
    CHECK(OpenSession(slot, 6, NULL, NULL, &busy), OK);
    CHECK(pthread_create(&thread, NULL, long_call, &busy), 0);
    usleep(300000);
    pid_t pid = child();
    if (pid == 0) {
        char info[88];
        CHECK(start(), 6 /* CKR_FUNCTION_FAILED */);
        CHECK(GetInfo(info), NOT_INITIALIZED);
        pid = child();
        if (pid == 0) {
            CHECK(start(), 6);
            exit(0);
        }
        wait_for(pid);
        exit(0);
    }
    wait_for(pid);
    CHECK(sign(session, key(session)), OK);
    _exit(0);
}
