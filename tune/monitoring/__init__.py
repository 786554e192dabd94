"""Who watches a search: display, JSON events, status, TensorBoard, MLflow.

May import: records, storage. Must not know: how a search decides.
"""
