//! Rigs for whole-system tests.
