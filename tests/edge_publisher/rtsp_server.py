"""A network camera of GStreamer's RTSP server. It runs in the system's own Python, where Debian puts GStreamer:

    python3 rtsp_server.py h264|mjpeg LOSS [PORT]

`LOSS` is the share of the RTP packets that never leave, as on a bad network. Prints its port, and serves `/board`.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

_VIDEO = "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=30/1"
_KINDS = {
    "h264": "x264enc tune=zerolatency key-int-max=15 ! rtph264pay config-interval=1",
    "mjpeg": "jpegenc ! rtpjpegpay",
}


class Factory(GstRtspServer.RTSPMediaFactory):
    def do_create_element(self, url):
        encode, _, pay = _KINDS[sys.argv[1]].rpartition(" ! ")
        media = Gst.parse_bin_from_description(f"{_VIDEO} ! {encode}", True)
        # A payloader that loses packets: the server looks for `pay0`, and finds the real one in it.
        lossy = f"{pay} pt=96 ! identity drop-probability={sys.argv[2]}"
        payloader = Gst.parse_bin_from_description(lossy, True)
        payloader.set_name("pay0")
        whole = Gst.Bin.new(None)
        whole.add(media)
        whole.add(payloader)
        media.link(payloader)
        return whole


Gst.init(None)
server = GstRtspServer.RTSPServer(service=sys.argv[3] if len(sys.argv) > 3 else "0", address="127.0.0.1")
factory = Factory()
factory.set_shared(True)
server.get_mount_points().add_factory("/board", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
