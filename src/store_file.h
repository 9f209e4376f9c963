/* store_file.h - the file that HDF5 writes to, which it can always let go of. Not public.
 *
 * HDF5 cannot give a file up: to close it, it must write what it still holds, and on a full disk that fails, leaves the
 * file half closed and ends the program in a crash as it exits. So HDF5 writes through this driver, which never fails
 * towards it: after the first error of the system it keeps the cause and takes every further byte without writing it.
 * The writer looks at the cause after each step, stops, and closes the file like any other. */
#ifndef VQS_STORE_FILE_H
#define VQS_STORE_FILE_H

#include <hdf5.h>

/* Makes files of this access property list go through the driver. The first errno is put into *error, which must
 * outlive the file. Returns the driver, to be closed with H5FDunregister when the file is closed; negative on failure.
 */
hid_t vqs_store_file_driver(hid_t access, int *error);

#endif
