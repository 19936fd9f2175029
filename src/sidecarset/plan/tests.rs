//! Whole plans, from pictures.
