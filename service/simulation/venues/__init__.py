"""The venues' protocols as their servers speak them, written from their documents apart from our decoders."""
