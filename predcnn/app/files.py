"""Moved to `predcnn.files`; importers follow."""

from predcnn.files import check_writable, only_writer, write_json, write_text  # noqa: F401
