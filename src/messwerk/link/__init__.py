"""Bytes in and out of the real world: clocks, files, serial lines, TCP, HTTP.

Only this package, the command line and `messwerk.system` touch sockets, serial ports, the wall
clock or entropy; everything below is handed what it needs.
"""
