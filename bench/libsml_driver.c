/* Runs libsml over a stream in memory, as favourably as its interface allows: word-aligned search
 * for the end, its own CRC routine over the frame, parse and free. No system calls in between.
 * The prototypes are those of libsml 0.1.1 and later, so no headers are needed. */
#define _GNU_SOURCE
#include <stddef.h>
#include <string.h>

typedef struct sml_file sml_file;
sml_file *sml_file_parse(unsigned char *buffer, size_t length);
void sml_file_free(sml_file *file);
unsigned short sml_crc16_calculate(unsigned char *buffer, int length);

static const unsigned char START[8] = {0x1b, 0x1b, 0x1b, 0x1b, 1, 1, 1, 1};
static const unsigned char END[5] = {0x1b, 0x1b, 0x1b, 0x1b, 0x1a};

/* Telegrams with a right frame CRC that were given to libsml's parser, whatever it made of them. */
long telegrams(unsigned char *stream, size_t length) {
    long count = 0;
    unsigned char *at = stream, *last = stream + length;
    while ((at = memmem(at, last - at, START, sizeof START)) != NULL) {
        unsigned char *end = at + 8;
        while (end + 8 <= last && memcmp(end, END, sizeof END) != 0 && memcmp(end, START, sizeof START) != 0)
            end += 4;
        if (end + 8 > last)
            break;
        if (end[4] != 0x1a) { /* another frame started here, or unaligned before */
            at += 4;
            continue;
        }
        int size = (int)(end + 8 - at);
        unsigned short expected = (unsigned short)(end[6] << 8 | end[7]);
        if (sml_crc16_calculate(at, size - 2) != expected) {
            at += 4;
            continue;
        }
        sml_file *file = sml_file_parse(at + 8, size - 16 - end[5]);
        if (file != NULL)
            sml_file_free(file);
        count++;
        at = end + 8;
    }
    return count;
}
