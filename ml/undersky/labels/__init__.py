"""What people know about the ground, brought in: read, mended, mapped to our classes, kept by digest.

    file --read_vectors, read_coco, paint--> outlines | pixels --> version --labels_on, boxes_on--> scene

Nothing vanishes without a count, no value goes unmapped, and what a version holds never changes.
"""

from undersky.labels.class_map import ClassMap, read_class_map, shipped_maps
from undersky.labels.placing import Boxes, boxes_of_image, boxes_on, labels_on
from undersky.labels.shelf import FolderShelf, Shelf
from undersky.labels.tasks import TASKS, UNLABELLED, Task, task_of
from undersky.labels.version import Manifest, Version, open_version

__all__ = [
    "TASKS",
    "UNLABELLED",
    "Boxes",
    "ClassMap",
    "FolderShelf",
    "Manifest",
    "Shelf",
    "Task",
    "Version",
    "boxes_of_image",
    "boxes_on",
    "labels_on",
    "open_version",
    "read_class_map",
    "shipped_maps",
    "task_of",
]
