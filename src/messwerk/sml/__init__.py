"""Smart Message Language: messages, binary encoding, transport framing."""
