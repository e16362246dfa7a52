"""The other side: units that speak the chip's own serial protocol, each in a process of its own.

``sim://CHIP?mac=…&fault=…`` is a pyserial URL; the package only has to be named in
``serial.protocol_handler_packages``. ``manage`` starts, lists, stops and looks into units.
"""
