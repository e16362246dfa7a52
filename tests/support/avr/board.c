/* An AVR board on a pseudo terminal: simavr runs the real boot loader and the real application.
 *
 *   board MCU BOOT_ADDRESS FLASH EEPROM CONSOLE LINK
 *
 * FLASH and EEPROM are files of exactly the memories' sizes, mapped into the emulation: whoever
 * reads them sees what the unit holds, and they outlive a killed board. CONSOLE gets what UART0
 * sent since the last reset. LINK becomes a symbolic link to the pseudo terminal.
 *
 * Commands come as lines on standard input, each is answered by a line on standard output; at the
 * end of the input the board ends. A pseudo terminal has no DTR, so opening it is the reset, as it
 * is on an Arduino.
 *
 * A pseudo terminal carries bytes whatever the baud rate; here a rate that is not the UART's (by more
 * than 4 %) garbles them, with framing errors.
 *
 * Time: real time at 16 MHz, except while bytes move on the UART: then as fast as the host can.
 *
 * What simavr 1.6 does otherwise than the chip, and what is done about it here:
 *  - it writes a flash page over what was there; flash only clears bits: ANDed here
 *  - it erases a page's length from wherever Z points; the chip erases the page around it: so here
 *  - it never sets EXTRF or PORF, by which these boot loaders decide: set here
 *  - it has no lock bits; an Arduino's (0x0F) keep SPM off the boot loader's own section: so here
 *  - it erases and writes pages and EEPROM bytes at once (only EEPROM's busy flag takes 3.4 ms),
 *    and its UART buffers 64 bytes where the chip has 2, and none is lost: left so
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <avr_eeprom.h>
#include <avr_flash.h>
#include <avr_uart.h>
#include <sim_avr.h>

#define FREQUENCY 16000000u
#define SLICE 8000u           /* cycles between two looks at the outside: 0.5 ms */
#define ASLEEP 160000u        /* the same while the CPU sleeps: 10 ms; a byte ends it */
#define LATE_US 20000         /* further behind real time than this is not caught up */
#define SPACE (512u * 1024)   /* address space behind flash: over 256 KiB and what may overrun it */
#define PAGE_MAX 256u

typedef struct {
    avr_t *avr;
    const char *link;
    char slave[64];
    int master;       /* -1: unplugged */
    int watch;        /* inotify: who opens the slave */
    int console;
    avr_irq_t *to_uart;
    avr_uart_t *uart;
    bool garbled;     /* host and UART are set to different baud rates */
    int (*spm)(avr_io_t *, uint32_t, void *);
    avr_io_write_t eecr;
    bool busy;        /* the UART moved a byte in this slice */
    bool full;        /* the UART takes no more for now */
    bool hung;        /* the clock stands, whatever the reset line says */
    bool off;         /* no power */
    bool reset_on_open;
    uint8_t in[4096]; /* from the host, not yet in the UART */
    size_t in_at, in_size;
    long drop;        /* host bytes until the cable is pulled; -1: never */
    long cut;         /* page erases, page writes, EEPROM bytes until the power fails; -1: never */
    long flip;        /* flash address of the worn cell; -1: none */
    unsigned flip_bit;
} board_t;

static board_t board = {.master = -1, .drop = -1, .cut = -1, .flip = -1, .reset_on_open = true};

static void die(const char *what)
{
    fprintf(stderr, "board: %s: %s\n", what, strerror(errno));
    exit(3);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void quiet(avr_t *avr, const int level, const char *format, va_list values)
{
    (void)avr, (void)level, (void)format, (void)values; /* a program's mistakes are its own affair */
}

/* --- memories ------------------------------------------------------------------------------ */

/* A file over the beginning of a larger space: what runs over the memory's end hurts nobody. */
static uint8_t *memory(const char *path, size_t size)
{
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || lseek(file, 0, SEEK_END) != (off_t)size)
        die(path);
    uint8_t *space = mmap(NULL, SPACE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (space == MAP_FAILED)
        die("mmap");
    if (mmap(space, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED)
        die(path);
    close(file);
    return space;
}

static void stored(void)
{
    if (board.cut > 0 && --board.cut == 0) {
        board.cut = -1;
        board.off = true;
    }
}

/* simavr's own self-programming, then the physics and the faults it has not. */
static int spm(avr_io_t *io, uint32_t ctl, void *param)
{
    avr_flash_t *unit = (avr_flash_t *)io;
    avr_t *avr = io->avr;
    if (ctl != AVR_IOCTL_FLASH_SPM)
        return board.spm(io, ctl, param);
    bool on = avr_regbit_get(avr, unit->selfprgen);
    bool erase = on && avr_regbit_get(avr, unit->pgers);
    bool write = on && !erase && avr_regbit_get(avr, unit->pgwrt);
    uint32_t page = avr->data[R_ZL] | avr->data[R_ZH] << 8;
    if (avr->rampz)
        page |= (uint32_t)avr->data[avr->rampz] << 16;
    page &= avr->flashend & ~(unit->spm_pagesize - 1u);
    uint8_t before[2 * PAGE_MAX];
    memcpy(before, avr->flash + page, sizeof before);
    int result = board.spm(io, ctl, param);
    if ((erase || write) && page >= avr->reset_pc) {
        memcpy(avr->flash + page, before, sizeof before);
    } else if (erase) {
        memcpy(avr->flash + page, before, sizeof before);
        memset(avr->flash + page, 0xff, unit->spm_pagesize);
    } else if (write) {
        for (unsigned i = 0; i < unit->spm_pagesize; i++)
            avr->flash[page + i] &= before[i];
        if (board.flip >= (long)page && board.flip < (long)(page + unit->spm_pagesize))
            avr->flash[board.flip] ^= 1u << board.flip_bit;
    }
    if (erase || write)
        stored();
    return result;
}

static void eecr(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    avr_eeprom_t *unit = param;
    bool write = avr_regbit_get(avr, unit->eempe) && avr_regbit_from_value(avr, unit->eepe, value);
    board.eecr(avr, address, value, param);
    if (write)
        stored();
}

static void find_units(avr_t *avr, const char *flash, const char *eeprom)
{
    uint8_t *space = memory(flash, avr->flashend + 1);
    memcpy(space + avr->flashend + 1, avr->flash + avr->flashend + 1, 2); /* simavr's end mark */
    avr->flash = space; /* what simavr allocated is left to the end of the process */
    for (avr_io_t *io = avr->io_port; io; io = io->next) {
        if (!strcmp(io->kind, "uart") && ((avr_uart_t *)io)->name == '0') {
            board.uart = (avr_uart_t *)io;
        } else if (!strcmp(io->kind, "eeprom")) {
            avr_eeprom_t *unit = (avr_eeprom_t *)io;
            unit->eeprom = memory(eeprom, unit->size);
            board.eecr = avr->io[AVR_DATA_TO_IO(unit->r_eecr)].w.c;
            avr->io[AVR_DATA_TO_IO(unit->r_eecr)].w.c = eecr;
        } else if (!strcmp(io->kind, "flash")) {
            if (((avr_flash_t *)io)->spm_pagesize > PAGE_MAX)
                die("flash page");
            board.spm = io->ioctl;
            io->ioctl = spm;
        }
    }
}

/* --- reset --------------------------------------------------------------------------------- */

static void restarted(void)
{
    board.full = false;
    if (ftruncate(board.console, 0) < 0)
        die("console");
}

static void reset(avr_regbit_t cause)
{
    avr_reset(board.avr);
    avr_regbit_set(board.avr, cause);
    restarted();
}

/* --- the line ------------------------------------------------------------------------------ */

static bool connected(void)
{
    struct pollfd line = {.fd = board.master, .events = POLLOUT};
    return board.master >= 0 && poll(&line, 1, 0) >= 0 && !(line.revents & POLLHUP);
}

static unsigned host_baud(void)
{
    static const struct { speed_t code; unsigned baud; } known[] = {
        {B1200, 1200}, {B2400, 2400}, {B4800, 4800}, {B9600, 9600}, {B19200, 19200},
        {B38400, 38400}, {B57600, 57600}, {B115200, 115200}, {B230400, 230400},
        {B460800, 460800}, {B500000, 500000}, {B921600, 921600}, {B1000000, 1000000},
    };
    struct termios set;
    if (board.master < 0 || tcgetattr(board.master, &set)) /* the master tells the slave's */
        return 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].code == cfgetospeed(&set))
            return known[i].baud;
    return 0;
}

static unsigned unit_baud(void)
{
    avr_t *avr = board.avr;
    avr_uart_t *uart = board.uart;
    unsigned divisor = avr_regbit_get(avr, uart->ubrrl) | avr_regbit_get(avr, uart->ubrrh) << 8;
    return FREQUENCY / (avr_regbit_get(avr, uart->u2x) ? 8 : 16) / (divisor + 1);
}

static void compare_bauds(void)
{
    unsigned host = host_baud(), unit = unit_baud();
    if (board.master < 0)
        return; /* what is left came as it was */
    board.garbled = unit * 100 < host * 96 || unit * 100 > host * 104;
}

static void plug(void)
{
    board.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (board.master < 0 || grantpt(board.master) || unlockpt(board.master)
        || ptsname_r(board.master, board.slave, sizeof board.slave))
        die("pseudo terminal");
    int slave = open(board.slave, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios raw;
    if (slave < 0 || tcgetattr(slave, &raw))
        die(board.slave);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    close(slave); /* from now on the master hears POLLHUP while nobody has it open */
    board.watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (board.watch < 0 || inotify_add_watch(board.watch, board.slave, IN_OPEN) < 0)
        die("inotify");
    unlink(board.link);
    if (symlink(board.slave, board.link))
        die(board.link);
}

static void unplug(void)
{
    char target[sizeof board.slave] = "";
    if (board.master < 0)
        return;
    if (readlink(board.link, target, sizeof target - 1) > 0 && !strcmp(target, board.slave))
        unlink(board.link); /* unless another unit took the place */
    close(board.watch);
    close(board.master);
    board.master = -1;
    board.in_at = board.in_size = 0;
}

static void opened(void)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool any = false;
    while (board.master >= 0 && read(board.watch, events, sizeof events) > 0)
        any = true;
    if (any && board.reset_on_open && !board.off)
        reset(board.avr->reset_flags.extrf);
}

static void from_host(void)
{
    if (board.master < 0 || board.in_at < board.in_size)
        return;
    ssize_t got = read(board.master, board.in, sizeof board.in);
    if (got <= 0)
        return;
    bool pulled = board.drop >= 0 && got >= board.drop;
    board.in_at = 0;
    board.in_size = pulled ? (size_t)board.drop : (size_t)got;
    if (board.drop >= 0)
        board.drop -= board.in_size;
    if (pulled) {
        /* What came before still arrives: the converter on the board has power of its own. */
        size_t arrived = board.in_size;
        unplug();
        board.in_size = arrived;
        board.drop = -1;
    }
}

static void feed(void)
{
    while (!board.full && board.in_at < board.in_size) {
        uint32_t byte = board.in[board.in_at++];
        board.busy = true;
        avr_raise_irq(board.to_uart, board.garbled ? (byte ^ 0x5a) | UART_INPUT_FE : byte);
    }
}

static void on_output(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq, (void)param;
    uint8_t byte = value;
    board.busy = true;
    if (write(board.console, &byte, 1) != 1)
        die("console");
    compare_bauds(); /* the unit may have changed its own since the last slice */
    byte ^= board.garbled ? 0x5a : 0;
    for (int tries = 0; connected() && write(board.master, &byte, 1) != 1; tries++) {
        if (tries == 1000)
            return; /* a client that does not read for a second loses bytes */
        usleep(1000);
    }
}

static void on_room(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq, (void)param;
    if (value)
        board.full = false;
}

static void on_full(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq, (void)param;
    board.full = value;
}

/* --- commands ------------------------------------------------------------------------------ */

static const char *obey(const char *line)
{
    char word[16] = "";
    long first = 0;
    unsigned second = 0;
    int words = sscanf(line, "%15s %li %u", word, &first, &second);
    if (!strcmp(word, "reset"))
        reset(board.avr->reset_flags.extrf);
    else if (!strcmp(word, "power")) { /* off and on again: everything is well, but worn flash */
        board.off = board.hung = false;
        reset(board.avr->reset_flags.porf);
    } else if (!strcmp(word, "hang"))
        board.hung = true;
    else if (!strcmp(word, "resume"))
        board.hung = false;
    else if (!strcmp(word, "dtr") && words == 2)
        board.reset_on_open = first;
    else if (!strcmp(word, "drop") && words == 2)
        board.drop = first;
    else if (!strcmp(word, "cut") && words == 2)
        board.cut = first;
    else if (!strcmp(word, "flip") && words == 3) {
        board.flip = first;
        board.flip_bit = second & 7;
    } else if (!strcmp(word, "mend"))
        board.flip = board.cut = board.drop = -1;
    else if (!strcmp(word, "unplug"))
        unplug();
    else if (!strcmp(word, "plug")) {
        unplug();
        plug();
    } else if (!strcmp(word, "quit")) {
        unplug();
        puts("ok");
        exit(0);
    } else
        return "unknown";
    return "ok";
}

static void commands(void)
{
    static char text[256];
    static size_t size;
    ssize_t got = read(STDIN_FILENO, text + size, sizeof text - 1 - size);
    if (got == 0) {
        unplug();
        exit(0);
    }
    if (got < 0)
        return;
    size += got;
    for (char *end; (end = memchr(text, '\n', size));) {
        *end = 0;
        puts(obey(text));
        fflush(stdout);
        size -= end + 1 - text;
        memmove(text, end + 1, size);
    }
}

/* Look outside for at most wait_us; a command or a byte ends it. */
static void look(int64_t wait_us)
{
    struct pollfd ends[3] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = -1}, {.fd = -1}};
    if (board.master >= 0) {
        ends[1] = (struct pollfd){.fd = board.watch, .events = POLLIN};
        if (board.in_at == board.in_size && connected())
            ends[2] = (struct pollfd){.fd = board.master, .events = POLLIN};
    }
    struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    ppoll(ends, 3, &wait, NULL);
    if (ends[0].revents)
        commands();
    opened();
    from_host();
}

/* --- time ---------------------------------------------------------------------------------- */

static void no_sleep(avr_t *avr, avr_cycle_count_t cycles)
{
    (void)avr, (void)cycles; /* the loop below waits for the clock */
}

/* Run for a slice; cycles that passed. */
static avr_cycle_count_t run(void)
{
    avr_t *avr = board.avr;
    avr_cycle_count_t passed = 0, slice = avr->state == cpu_Sleeping ? ASLEEP : SLICE;
    while (passed < slice && !board.off) {
        avr_cycle_count_t before = avr->cycle;
        int state = avr_run(avr);
        if (avr->cycle < before) { /* the watchdog's reset: simavr's clock begins again */
            restarted();
            before = 0;
        }
        passed += avr->cycle - before;
        if (avr->state != cpu_Sleeping && slice == ASLEEP)
            slice = passed + SLICE; /* woken */
        if (state == cpu_Done || state == cpu_Crashed || state == cpu_Stopped)
            return slice;
    }
    return passed;
}

static void loop(void)
{
    int64_t due = now_us();
    for (;;) {
        if (board.hung || board.off) {
            board.in_at = board.in_size; /* nobody listens */
            look(100000);
            due = now_us();
            continue;
        }
        compare_bauds();
        feed();
        due += run() * 1000000 / FREQUENCY;
        int64_t now = now_us();
        if (board.busy || due < now - LATE_US)
            due = now;
        board.busy = false;
        look(due > now ? due - now : 0);
    }
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: board MCU BOOT_ADDRESS FLASH EEPROM CONSOLE LINK\n");
        return 2;
    }
    avr_global_logger_set(quiet);
    avr_t *avr = board.avr = avr_make_mcu_by_name(argv[1]);
    if (!avr)
        return 2;
    avr_init(avr);
    avr->log = LOG_NONE;
    avr->frequency = FREQUENCY;
    avr->sleep = no_sleep;
    avr->reset_pc = strtoul(argv[2], NULL, 0); /* fuse BOOTRST: every reset starts there */
    avr->codeend = avr->flashend;
    find_units(avr, argv[3], argv[4]);
    board.console = open(argv[5], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (board.console < 0)
        die(argv[5]);
    board.link = argv[6];
    uint32_t flags = 0; /* no waiting and no printing inside the emulated UART */
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    board.to_uart = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    avr_irq_register_notify(
        avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_output, NULL);
    avr_irq_register_notify(
        avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), on_room, NULL);
    avr_irq_register_notify(
        avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), on_full, NULL);
    plug();
    reset(avr->reset_flags.porf);
    printf("ready %s\n", board.slave);
    fflush(stdout);
    loop();
}
